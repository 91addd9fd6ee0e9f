"""A result that the server can't accept delays no other, is not lost, and not posted forever."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from joblot.errors import NotAuthenticated
from joblot.identity.tokens import issue, revoke
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.wire import Reported, success
from joblot.worker import HttpClient, backoff, batched, each, reporter
from joblot.worker.held import Held
from joblot.worker.spool import Spool
from tests.polling import eventually
from tests.worker.conftest import Working, ended, numbered
from tests.worker.server import Server

ITEMS = 21
BAD = 13
MARK = b"the one that fails"
INTERNAL = json.dumps({"status": 500, "code": "internal", "detail": "joblot failed"}).encode()
FAILURES = {
    "of joblot": b"HTTP/1.0 500 X\r\nContent-Type: application/problem+json\r\n\r\n" + INTERNAL,
    "of a proxy": b"HTTP/1.0 403 X\r\nContent-Type: text/html\r\n\r\n<html>",
    "of a project": b"HTTP/1.0 500 X\r\nContent-Type: text/html\r\n\r\n<html>",
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits between attempts."""
    monkeypatch.setattr(backoff, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(backoff, "BACKOFF_SECONDS_MAX", 0.02)


def work(numbers: list[int]) -> list[Any]:
    return [MARK.decode() if n == BAD else n for n in numbers]


def succeeded(job: int) -> int:
    return int(progress(job)["stages"][0]["succeeded"])


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_one_result_that_the_server_fails_at_holds_back_no_other(
    ledger_db: str,
    working: Working,
    server: Server,
    *,
    client,
    failure: bytes,
    quick,
    tmp_path: Path,
):
    """After its attempts, it fails its item with the cause, and is kept beside the spool."""
    job = submit("j", numbered(ITEMS), pipeline="p")
    server.network.fail_on, server.network.failure = MARK, failure
    spool = Spool.begin(tmp_path)
    with working(batched(work), client=client, batch_items=ITEMS, spool=spool):
        assert ended(job.pk)["status"] == "COMPLETED_WITH_ERRORS"
    (failed,) = items(job.pk, state="failed")
    error = failed["outcomes"][0]["error"]
    assert (failed["key"], error["type"]) == (f"k{BAD}", "ServerFailed")
    assert f"{reporter.FAILED_ALONE_MAX} tries" in error["message"]
    (aside,) = tmp_path.glob("*/*.aside")
    assert MARK in aside.read_bytes()
    assert not list(tmp_path.glob("*/*.results"))


def test_the_others_are_counted_at_once_and_the_one_waits(
    ledger_db: str, working: Working, server: Server, client, tmp_path: Path
):
    """With normal waits: a result that fails alone is posted rarely, and the server recovers."""
    job = submit("j", numbered(ITEMS), pipeline="p")
    server.network.fail_on, server.network.failure = MARK, FAILURES["of joblot"]
    spool = Spool.begin(tmp_path)
    with working(batched(work), client=client, batch_items=ITEMS, spool=spool):
        eventually(lambda: succeeded(job.pk) == ITEMS - 1)
        assert (
            server.network.paths("results") <= 2 * 5 + 3
        )  # halves of 21, and one or two attempts alone
        server.network.fail_on = b""
        assert ended(job.pk)["status"] == "SUCCESS"
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_fails_at_everything_loses_nothing_and_is_left_in_peace(
    ledger_db: str, working: Working, server: Server, *, client, quick, tmp_path: Path
):
    """Not even failures are accepted, so no result is blamed, however often it is tried."""
    job = submit("j", numbered(ITEMS), pipeline="p")
    server.network.fail_on, server.network.failure = b"lease", FAILURES["of joblot"]
    spool = Spool.begin(tmp_path)
    with working(batched(work), client=client, batch_items=ITEMS, spool=spool):
        tries = 40 * reporter.FAILED_ALONE_MAX
        eventually(lambda: server.network.paths("results") > tries)
        assert succeeded(job.pk) == 0
        server.network.fail_on = b""
        assert ended(job.pk)["status"] == "SUCCESS"
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_in_this_process_that_fails_at_one_result(ledger_db: str, working: Working, quick):
    """As in `joblot run`: without a server in between."""
    from joblot.cli.local_client import LocalClient

    class Picky(LocalClient):
        def report(self, token: str, results: Any) -> Any:
            if any(one.output == MARK.decode() for one in results):
                raise RecursionError("of this one")
            return super().report(token, results)

        def report_and_claim(self, token: str, results: Any, claim_next: Any) -> Reported:
            return Reported(self.report(token, results))

    job = submit("j", numbered(ITEMS), pipeline="p")
    with working(batched(work), client=Picky(), batch_items=ITEMS):
        assert ended(job.pk)["status"] == "COMPLETED_WITH_ERRORS"
    assert succeeded(job.pk) == ITEMS - 1


def test_a_ledger_that_recovers_after_an_empty_report_fails_no_good_result(
    ledger_db: str, working: Working, quick
):
    """The empty report, which asks whether it answers, is the last one that it fails at."""
    from joblot.cli.local_client import LocalClient

    class Recovering(LocalClient):
        down = True

        def report(self, token: str, results: Any) -> Any:
            if self.down:
                self.down = bool(results)
                raise RecursionError("of every report")
            return super().report(token, results)

        def report_and_claim(self, token: str, results: Any, claim_next: Any) -> Reported:
            return Reported(self.report(token, results))

    client = Recovering()
    job = submit("j", numbered(ITEMS), pipeline="p")
    with working(batched(work), client=client, batch_items=ITEMS):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert not client.down


@pytest.mark.parametrize("levels", [101, 600, 970, 100_000])
def test_an_output_that_is_nested_too_deep_fails_its_item_alone(
    ledger_db: str, working: Working, client, levels: int
):
    def nest(n: int) -> Any:
        value: Any = n
        for _ in range(levels if n == BAD else 3):
            value = [value]
        return value

    job = submit("j", numbered(ITEMS), pipeline="p")
    with working(each(nest), client=client):
        assert ended(job.pk)["status"] == "COMPLETED_WITH_ERRORS"
    (failed,) = items(job.pk, state="failed")
    assert failed["key"] == f"k{BAD}"
    assert "100 levels" in failed["outcomes"][0]["error"]["message"]


def test_a_storage_that_is_away_defers_what_needs_it_and_nothing_else(
    ledger_db: str, working: Working, *, client, configure, settings, tmp_path: Path
):
    configure(output_bytes_inline_max=100)
    settings.MEDIA_ROOT = str(tmp_path / "media")
    (tmp_path / "media").touch()  # where a folder should be
    job = submit("j", numbered(4), pipeline="p")
    with working(each(lambda n: "x" * 200 if n == 2 else n), client=client):
        eventually(lambda: succeeded(job.pk) == 3)
        (tmp_path / "media").unlink()
        assert ended(job.pk)["status"] == "SUCCESS"


def test_why_a_worker_is_refused_is_logged_once_and_not_for_each_result(
    ledger_db: str, server: Server, caplog: pytest.LogCaptureFixture
):
    secret, found = issue("worker", ["work"])
    submit("j", numbered(3), pipeline="p")
    with HttpClient(server.url, secret, "gpu-1") as client:
        (lease,) = client.claim(["p"], 3, job=None, worker="gpu-1", idempotency_key="a").leases
        revoke(found["id"])
        reports = reporter.Reporter(client, Held(), threading.Event())
        reports.start()
        for item in lease.items:
            before = server.network.paths("results")
            reports.put(lease.token, [success(item.id, 1)])
            _await_a_post(server, before)
        assert reports.end(60) == 3
    assert isinstance(reports.refused, NotAuthenticated)
    assert caplog.text.count(" kept, because the report was refused: expected a token") == 1


def _await_a_post(server: Server, before: int) -> None:
    eventually(lambda: server.network.paths("results") > before)
