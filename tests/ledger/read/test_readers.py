"""Progress, items, events, logs, why: what they show, page by page, without writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from joblot.errors import InvalidInput, NotFound
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, pause, resume
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.audit import audit
from joblot.ledger.read.history import events
from joblot.ledger.read.items import items, outputs
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.progress import jobs, percent, progress
from joblot.ledger.read.why import why
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Tally
from joblot.states import JobStatus
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, succeed

READERS = [progress, items, events, logs, why, audit]


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_writes_nothing(ledger_db: str, reader: Any) -> None:
    job = submit("read", keys(4), pipeline="p")
    succeed(worker.lease(limit=2))
    with CaptureQueriesContext(connections[ledger_db]) as captured:
        reader(job.pk)
    sent = [query["sql"].lstrip().upper() for query in captured]
    assert sent
    assert not [sql for sql in sent if sql.startswith(("INSERT", "UPDATE", "DELETE"))]


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_does_not_find_a_job_that_there_is_not(ledger_db: str, reader: Any) -> None:
    with pytest.raises(NotFound):
        reader(4711)


def test_progress_costs_the_same_however_many_items_there_are(ledger_db: str) -> None:
    def queries(job: Job) -> int:
        with CaptureQueriesContext(connections[ledger_db]) as captured:
            progress(job.pk)
        assert not [q for q in captured if "joblot_outcome" in q["sql"]]
        assert not [q for q in captured if "joblot_item" in q["sql"]]
        return len(captured)

    small, large = submit("s", keys(1), pipeline="p"), submit("l", keys(500), pipeline="p")
    worker.drain()
    assert queries(small) == queries(large)


def test_the_parts_of_a_stage_add_up(ledger_db: str) -> None:
    job = submit("sum", keys(10), stages=TWO_STAGES, policy={"retry_backoff_seconds": 60})
    lease = worker.lease("p", limit=6)
    succeed(lease, 0, 1, 2)
    fail(lease, 3)
    fail(lease, 4, retryable=True)
    succeed(worker.lease("q", limit=1))
    first, second = progress(job.pk)["stages"]
    names = ("ready", "in_flight", "succeeded", "failed", "lost", "skipped", "cancelled")
    assert [first[name] for name in names] == [5, 1, 3, 1, 0, 0, 0]
    assert [second[name] for name in names] == [2, 0, 1, 0, 0, 1, 0]
    assert progress(job.pk)["percent"] == 30.0


@pytest.mark.parametrize(
    ("done", "of", "shown"), [(0, 3, 0.0), (1, 3, 33.33), (99_999, 100_000, 99.99), (3, 3, 100.0)]
)
def test_the_percent_is_rounded_down(done: int, of: int, shown: float) -> None:
    assert percent(done, of, JobStatus.STARTED) == shown


def test_an_eta_grows_from_the_pace_so_far(ledger_db: str, clock: Any) -> None:
    job = submit("eta", keys(4), pipeline="p")
    assert progress(job.pk)["eta"] is None
    lease = worker.lease()
    clock.forward(10)
    succeed(lease, 0)
    eta = progress(job.pk)["eta"]
    assert eta["p50"] == 30
    assert eta["p90"] > 30
    succeed(lease, 1, 2, 3)
    assert progress(job.pk)["eta"] is None


def test_jobs_come_newest_first_by_pages_and_filters(ledger_db: str) -> None:
    made = [submit(f"j{n}", keys(n % 2), pipeline="p", project=f"p{n % 2}") for n in range(5)]
    newest = [job.pk for job in reversed(made)]
    assert [job["id"] for job in jobs()] == newest
    page = jobs(limit=2)
    assert [job["id"] for job in page] == newest[:2]
    assert [job["id"] for job in jobs(before=page[-1]["id"], limit=2)] == newest[2:4]
    assert {job["project"] for job in jobs(project="p1")} == {"p1"}
    assert len(jobs(status=JobStatus.SUCCESS)) == 3


def test_items_by_state_stage_and_page(ledger_db: str) -> None:
    job = submit("items", keys(8), stages=TWO_STAGES, policy={"expiries_max": 1})
    lease = worker.lease("p", limit=6)
    succeed(lease, 0, 1, 2, 3)
    fail(lease, 4)
    second = worker.lease("q", limit=2)
    fail(second, 0)
    succeed(second, 1)

    def found(**asked: Any) -> list[int]:
        return [item["id"] for item in items(job.pk, **asked)]

    assert found() == list(range(8))
    assert found(after=2, limit=3) == [3, 4, 5]
    assert found(state="succeeded") == [1]
    assert found(state="succeeded", stage="read") == [0, 1, 2, 3]
    assert found(state="failed") == [0, 4]
    assert found(state="failed", stage="save") == [0]
    assert found(state="skipped", stage="save") == [4]
    assert found(state="open") == [2, 3, 5, 6, 7]
    assert found(state="open", stage="read") == [5, 6, 7]
    for wrong in ({"state": "lucky"}, {"state": "open", "stage": "none"}):
        with pytest.raises(InvalidInput, match="expected one of"):
            found(**wrong)
    assert [key for key, _ in outputs(job.pk, stage="read")] == ["k0", "k1", "k2", "k3"]


def test_events_by_page(ledger_db: str) -> None:
    job = submit("pages", keys(1), pipeline="p")
    worker.drain()
    first = events(job.pk, limit=2)
    rest = events(job.pk, after=first[-1]["id"])
    assert [event["kind"] for event in first + rest] == ["started", "claimed", "finished"]


def test_an_event_and_a_log_line_stay_as_they_were_written(ledger_db: str) -> None:
    job = submit("kept", keys(2), pipeline="p", policy={"alert_failed_items": 1})
    seen: list[list[Any]] = [[], []]

    def look_again() -> None:
        sweep()
        for before, now in zip(seen, (events(job.pk), logs(job.pk)), strict=True):
            assert now[: len(before)] == before
            before[:] = now

    lease = worker.lease()
    acts: list[Callable[[], object]] = [
        lambda: log(job.pk, "begun", stage="p", number=0),
        lambda: fail(lease, 0),
        lambda: pause(job.pk),
        lambda: resume(job.pk),
        lambda: fail(lease, 1),
        lambda: succeed(lease, 1),
        lambda: retry(job.pk),
        worker.drain,
        lambda: log(job.pk, "done"),
    ]
    for act in acts:
        act()
        look_again()
    kinds = {event["kind"] for event in seen[0]}
    assert kinds >= {"failing", "finished", "amended"}
    assert [line["message"] for line in seen[1] if line["event"] is None] == ["begun", "done"]


def test_a_log_line_never_fails_the_work(ledger_db: str) -> None:
    job = submit("log", keys(1), pipeline="p")
    assert not log(4711, "no such job")
    with transaction.atomic(using=ledger_db):
        assert not log(job.pk, "inside somebody's transaction")
    assert log(job.pk, "with \x00 and \ud800", level="strange")
    assert log(job.pk, "x" * 100_000)
    assert [len(line["message"]) for line in logs(job.pk)[1:]] == [len("with \\x00 and ?"), 4_000]


def codes(job: Job) -> set[str]:
    return {reason["code"] for reason in why(job.pk)["reasons"]}


def test_why_a_job_stands_where_it_stands(ledger_db: str) -> None:
    claim("p")
    job = submit("why", keys(4), pipeline="p", start=False, seal=False)
    assert codes(job) == {"not_started", "open"}
    job = submit("why", keys(4), pipeline="p", policy={"retry_backoff_seconds": 60})
    assert codes(job) == {"ready"}
    lease = worker.lease(limit=2)
    fail(lease, 0, retryable=True)
    assert codes(job) == {"ready", "in_flight", "backing_off"}
    pause(job.pk)
    assert "paused" in codes(job)
    expire(lease.token)
    cancel(job.pk, grace_seconds=0)
    assert codes(job) == {"ended"}


def test_why_says_that_a_job_has_as_many_in_flight_as_it_may(ledger_db: str) -> None:
    claim("p")
    job = submit("why", keys(4), pipeline="p", policy={"in_flight_items_max": 2})
    assert codes(job) == {"ready"}
    lease = worker.lease()
    assert codes(job) == {"at_limit", "in_flight"}
    succeed(lease)
    assert codes(job) == {"ready"}


def test_the_audit_finds_a_tally_that_is_wrong(ledger_db: str) -> None:
    job = submit("audit", keys(2), pipeline="p")
    succeed(worker.lease(limit=1))
    assert audit(job.pk)["ok"]
    Tally.ledger.filter(job_id=job.pk).update(succeeded=2)
    found = audit(job.pk)
    assert not found["ok"]
    assert [c["invariant"] for c in found["checks"] if not c["ok"]]
    Tally.ledger.filter(job_id=job.pk).update(succeeded=1)
