"""`--joblog`: a line for each attempt that ended, complete after kills, retries and losses."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest

from joblot.cli.records.ended import Ended, Journal, JournalingClient
from joblot.cli.records.joblog import COLUMNS, Joblog, check
from joblot.errors import InvalidInput, RetryableError
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.states import Receipt
from joblot.wire import ClaimedItem, ItemReceipt, success
from joblot.worker import batched, each
from tests.worker.conftest import Working, ended, working

__all__ = ["working"]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _written(job: int, path: Path, *endings: Ended, resumed: bool = False) -> list[dict[str, Any]]:
    log = Joblog(job, str(path), resumed=resumed)
    log.begin()
    log.take(endings)
    log.end(finished=True)
    if path.suffix == ".csv":
        return _rows(path)
    return [json.loads(line) for line in path.read_text().splitlines()]


def _endings(working: Working, job: int, work: Any, **settings: Any) -> list[Ended]:
    """What a worker says while it works on the job until its end."""
    said: list[Ended] = []
    journal = Journal(lambda endings: said.extend(Ended.of(one, "h/w") for one in endings))
    timed = journal.timed(work)
    with working(timed, client=JournalingClient(journal), **settings):
        ended(job)
    return said


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_each_attempt_has_a_line(ledger_db: str, working: Working, tmp_path: Path, name: str):
    job = submit("j", ["a", "bad", "busy"], pipeline="p", policy={"retry_backoff_seconds": 0.0}).pk
    tries: list[str] = []

    def work(key: str) -> str:
        tries.append(key)
        if key == "bad":
            raise ValueError("broken")
        if tries.count("busy") == 1 and key == "busy":
            raise RetryableError("not now")
        return key

    rows = _written(job, tmp_path / name, *_endings(working, job, each(work)))
    assert {tuple(row) for row in rows} == {COLUMNS}
    seen = {(row["key"], int(row["attempt"]), row["outcome"], row["error"]) for row in rows}
    assert seen == {
        ("a", 1, "succeeded", ""),
        ("bad", 1, "failed", "ValueError: broken"),
        ("busy", 1, "retried", "RetryableError: not now"),
        ("busy", 2, "succeeded", ""),
    }
    assert {(row["worker"], row["host"], int(row["job"])) for row in rows} == {("h/w", "h", job)}
    assert all(float(row["seconds"]) >= 0 for row in rows)
    assert all(row["start"][10] == "T" and row["start"].endswith("+00:00") for row in rows)


def test_the_items_of_a_batch_share_its_seconds():
    took: list[float] = []

    def busy(numbers: list[int]) -> list[int]:
        began = time.monotonic()
        while time.monotonic() - began < 0.05:
            pass
        took.append(time.monotonic() - began)
        return numbers

    said: list[Any] = []
    journal = Journal(said.extend)
    items = [ClaimedItem(n, f"k{n}", n, None, 1) for n in range(60)]
    (results,) = journal.timed(batched(busy))(items)
    journal.receipted(results, [ItemReceipt(one.item, Receipt.COUNTED) for one in results])
    endings = [Ended.of(one, "h/w") for one in said]
    assert [one.item for one in endings] == list(range(60))
    ((_, seconds),) = {(one.start, one.seconds) for one in endings}
    assert seconds is not None
    assert took[0] / 61 < seconds < took[0]


def test_what_a_kill_kept_from_the_log_is_added_from_the_ledger(ledger_db: str, tmp_path: Path):
    """One item was logged, the line of the second was cut off, and the third has none."""
    job = submit("j", ["a", "b", "c", "open"], pipeline="p").pk
    (lease,) = claim("p", 3, worker="host/7", idempotency_key=None).leases
    report(lease.token, [success(one.id) for one in lease.items])
    path = tmp_path / "log.csv"
    before = _written(job, path, resumed=False)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2]) + lines[2][:5])
    after = _written(job, path, resumed=True)
    assert [row["key"] for row in after] == ["a", "b", "c"]
    assert after == before
    assert {(row["outcome"], row["worker"], row["host"], row["seconds"]) for row in after} == {
        ("succeeded", "host/7", "host", "")
    }
    whole = path.read_text()
    path.write_text(whole + "1,2," + "x" * 1_000)
    _written(job, path, resumed=True)
    assert path.read_text() == whole  # nothing is added twice


def test_a_lost_item_has_a_line(ledger_db: str, tmp_path: Path):
    job = submit("j", ["a"], pipeline="p", policy={"expiries_max": 1}).pk
    for _ in range(2):
        leases = claim("p", 1, worker="host/7", idempotency_key=None).leases
        if leases:
            expire(leases[0].token, "its worker died (signal 9)")
    (row,) = _written(job, tmp_path / "log.jsonl")
    assert (row["key"], row["outcome"], row["worker"]) == ("a", "lost", "host/7")
    assert "its worker died (signal 9)" in row["error"]


def test_the_log_goes_on_in_the_next_run_of_the_job(
    ledger_db: str, working: Working, tmp_path: Path
):
    job = submit("j", ["a", "b"], pipeline="p").pk
    path = tmp_path / "log.csv"
    faults = {"b"}

    def work(key: str) -> str:
        if key in faults:
            raise ValueError(key)
        return key

    _written(job, path, *_endings(working, job, each(work)))
    faults.clear()
    retry(job)
    rows = _written(job, path, *_endings(working, job, each(work)), resumed=True)
    assert [(row["key"], row["outcome"]) for row in rows] == [
        ("a", "succeeded"),
        ("b", "failed"),
        ("b", "succeeded"),
    ]


def test_a_result_that_was_reported_twice_has_one_line_that_counts(ledger_db: str, tmp_path: Path):
    """The answer to the first report was lost; another worker had computed the item, too."""
    job = submit("j", ["a"], pipeline="p").pk
    (lease,) = claim("p", 1, idempotency_key=None).leases
    report(lease.token, [success(0)])
    repeated = Ended(0, "a", 1, "", 0.1, True, Receipt.DUPLICATE, "", "h/w")
    rows = _written(job, tmp_path / "log.jsonl", repeated, repeated._replace(worker="h/2"))
    assert [(row["worker"], row["outcome"]) for row in rows] == [
        ("h/w", "succeeded"),
        ("h/2", "not counted"),
    ]


def test_an_output_that_is_rejected_is_logged_as_the_failure_it_becomes():
    said: list[Any] = []
    journal = Journal(said.extend)
    list(journal.timed(each(str))([ClaimedItem(7, "a", None, None, 1)]))
    good = success(7, "x")
    journal.receipted([good], [ItemReceipt(7, Receipt.REJECTED)])
    journal.receipted([good], [ItemReceipt(7, Receipt.DEFERRED)])
    assert said == []
    journal.receipted([good], [ItemReceipt(7, Receipt.COUNTED)])
    assert [one[0] for one in said] == [7]


def test_a_key_that_would_run_as_a_formula_or_end_its_line_is_quoted(
    ledger_db: str, tmp_path: Path
):
    job = submit("j", ["=1+1", "two\nlines"], pipeline="p").pk
    (lease,) = claim("p", 2, idempotency_key=None).leases
    report(lease.token, [success(one.id) for one in lease.items])
    path = tmp_path / "log.csv"
    assert [row["key"] for row in _written(job, path)] == ["'=1+1", "two\\nlines"]
    assert len(path.read_text().splitlines()) == 3


def test_the_log_of_another_job_and_other_files_are_refused_before_the_work(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    log.write_text(
        json.dumps(dict.fromkeys(COLUMNS, "") | {"job": 3, "item": 0, "outcome": "lost"})
    )
    with pytest.raises(InvalidInput, match="is the log of job 3"):
        check(str(log), 7)
    check(str(log), 3)
    check(str(log), None)
    check(None, 7)
    for name in ("log.txt", "no/such/folder/log.csv"):
        with pytest.raises(InvalidInput, match="--joblog"):
            check(str(tmp_path / name), None)
