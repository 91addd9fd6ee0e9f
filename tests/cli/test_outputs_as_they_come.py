"""`--out` while a run goes on: outputs as they come, none twice, none lost, in order at the end."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from joblot.cli import out as out_file
from joblot.cli.records.ended import Ended
from joblot.cli.records.outputs import GrowingFile, InOrder, growing
from joblot.cli.records.recorder import Recorder
from joblot.errors import Unavailable
from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.states import Receipt
from joblot.wire import GrantedLease, failure, success
from tests.ledger.conftest import configure
from tests.threads import Threads

__all__ = ["configure"]


def _lease(job: int, items: int = 1) -> GrantedLease:
    (lease,) = claim("p", items, job=job, idempotency_key=None).leases
    return lease


def _succeed(lease: GrantedLease) -> list[Ended]:
    """Report all items of a lease; returns what a worker says of them."""
    receipts = report(lease.token, [success(one.id, one.key.upper()) for one in lease.items])
    return [
        Ended(one.id, one.key, 1, "", 0.1, True, receipt.receipt, "")
        for one, receipt in zip(lease.items, receipts, strict=True)
    ]


def _keys(path: Path) -> list[str]:
    return [json.loads(line)["key"] for line in path.read_text().splitlines()]


def test_a_file_has_each_output_as_soon_as_it_is_counted(ledger_db: str, tmp_path: Path):
    job = submit("j", ["a", "b", "c"], pipeline="p").pk
    file = tmp_path / "out"
    file.write_text("of an earlier run\n")
    first, second, third = (_lease(job) for _ in range(3))
    record = GrowingFile(job, str(file))
    record.begin()
    assert file.read_text() == ""
    for lease, expected in ((second, "b"), (first, "ba"), (third, "bac")):
        record.take(_succeed(lease))
        record.grow()
        assert "".join(_keys(file)) == expected
    record.end(finished=True)
    out_file.write(job, str(file))
    assert _keys(file) == ["a", "b", "c"]


def test_a_resumed_run_begins_with_what_is_counted_and_writes_nothing_twice(
    ledger_db: str, tmp_path: Path
):
    """The killed run has written half a line; its last results are known to the ledger only."""
    job = submit("j", [f"k{n}" for n in range(2_500)], pipeline="p").pk
    file = tmp_path / "out"
    file.write_text('{"key": "k0", "out')
    ended = [one for _ in range(5) for one in _succeed(_lease(job, 240))]
    record = GrowingFile(job, str(file))
    record.begin()
    assert _keys(file) == [f"k{n}" for n in range(1_200)]
    record.take(ended)  # as if they had been counted while it began
    record.take([Ended(1_300, "k1300", 1, "", 0.1, True, Receipt.REQUEUED, "")])
    record.take(_succeed(_lease(job, 10)))
    record.grow()
    record.end(finished=False)
    assert _keys(file) == [f"k{n}" for n in range(1_210)]


def test_a_pipe_gets_outputs_in_order_once_all_before_them_are_settled(
    ledger_db: str, tmp_path: Path, in_thread: Threads
):
    job = submit("j", ["a", "b", "c", "d"], pipeline="p", seal=False).pk
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = in_thread(pipe.open)
    record = growing(job, str(pipe))
    assert isinstance(record, InOrder)
    record.begin()
    with reading.result() as read:
        first, second, third = (_lease(job) for _ in range(3))
        record.take(_succeed(second))
        record.grow()
        record.take(_succeed(first))
        record.grow()
        assert [json.loads(read.readline())["key"] for _ in range(2)] == ["a", "b"]
        report(third.token, [failure(2, "ValueError", "no")])
        add_items(job, ["e"])
        seal(job)
        fourth, last = sorted((_lease(job), _lease(job)), key=lambda one: one.items[0].id)
        record.take(_succeed(fourth))
        record.grow()
        assert json.loads(read.readline())["key"] == "d"
        _succeed(third)  # the failure is amended, after the stream has passed it
        _succeed(last)
        record.end(finished=True)
        assert [json.loads(line)["key"] for line in read] == ["e", "c"]


def test_an_interrupted_run_has_written_all_before_the_first_open_item(
    ledger_db: str, capsys: pytest.CaptureFixture[str]
):
    job = submit("j", ["a", "b", "c"], pipeline="p").pk
    _succeed(_lease(job))
    _lease(job)
    _succeed(_lease(job))
    record = InOrder(job, "-")
    record.begin()
    record.end(finished=False)
    assert capsys.readouterr().out == '{"key": "a", "output": "A"}\n'


def test_the_first_open_item_is_found_however_many_are_settled(
    ledger_db: str, capsys: pytest.CaptureFixture[str], configure: Any
):
    configure(page_probe_items=10)
    job = submit("j", [f"k{n}" for n in range(60)], pipeline="p").pk
    _succeed(_lease(job, 45))
    record = InOrder(job, "-")
    for _ in range(5):
        record.take([])
        record.grow()
    assert len(capsys.readouterr().out.splitlines()) == 45


def test_on_a_terminal_with_bars_they_come_at_the_end(
    ledger_db: str, capsys: pytest.CaptureFixture[str]
):
    job = submit("j", ["a"], pipeline="p").pk
    record = InOrder(job, "-", held=True)
    record.take(_succeed(_lease(job)))
    record.grow()
    assert capsys.readouterr().out == ""
    record.end(finished=True)
    assert capsys.readouterr().out == '{"key": "a", "output": "A"}\n'


def test_a_full_disk_is_reported_and_stops_no_other_file(ledger_db: str):
    job = submit("j", ["a"], pipeline="p").pk
    told: list[object] = []
    recorder = Recorder(InOrder(job, "/dev/full"), told.append)
    recorder.start()
    recorder.take(_succeed(_lease(job)))
    recorder.end(finished=True)
    assert isinstance(recorder.error, Unavailable)
    assert told == [recorder.error]
    assert "--out FILE writes them again" in str(recorder.error)


def test_standard_output_is_not_that_of_a_live_display(
    ledger_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A display takes its place while the run goes on."""
    job = submit("j", ["a"], pipeline="p").pk
    real, display = (tmp_path / "real").open("w"), (tmp_path / "display").open("w")
    with real, display:
        monkeypatch.setattr(sys, "stdout", real)
        record = InOrder(job, "-")
        monkeypatch.setattr(sys, "stdout", display)
        record.begin()
        record.take(_succeed(_lease(job)))
        record.end(finished=True)
    assert _keys(tmp_path / "real") == ["a"]
