"""Several statements see one instant; readers and writers never wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext

from joblot.ledger.claim.claim import claim
from joblot.ledger.db.transactions import one_snapshot
from joblot.ledger.job.lifecycle import delete, start
from joblot.ledger.job.retry import retry
from joblot.ledger.read.audit import audit
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import jobs, progress
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Lease
from joblot.states import JobStatus
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, succeed


def test_what_is_committed_meanwhile_is_not_seen(ledger_db: str, in_thread: Any) -> None:
    job = submit("j", keys(2), pipeline="p")
    lease = worker.lease()
    with one_snapshot():
        before = progress(job.pk)
        assert in_thread(succeed, lease).result() == ["counted", "counted"]
        assert {**progress(job.pk), "as_of": None} == {**before, "as_of": None}
    assert progress(job.pk)["status"] == "SUCCESS"


def test_a_reader_can_not_write(postgres_only: str) -> None:
    submit("j", keys(1), pipeline="p")
    with pytest.raises(DatabaseError, match="read-only"), one_snapshot():
        Job.objects.update(priority=1)


def test_a_reader_does_not_wait_for_a_writer(
    sqlite_only: str, connect: Callable[[], BaseDatabaseWrapper]
) -> None:
    job = submit("j", keys(2), pipeline="p")
    with connect().cursor() as other:
        other.execute("BEGIN IMMEDIATE")
        connections[sqlite_only].cursor().execute("PRAGMA busy_timeout = 1")
        try:
            assert audit(job.pk)["ok"]
            assert len(items(job.pk)) == 2
        finally:
            connections[sqlite_only].close()
            other.execute("ROLLBACK")


@pytest.mark.parametrize("made", [1, 60])
def test_progress_is_one_statement_for_any_number_of_jobs(ledger_db: str, made: int) -> None:
    for n in range(made):
        last = submit(f"j{n}", keys(2), stages=TWO_STAGES).pk
    readers: list[Callable[[], object]] = [lambda: progress(last), lambda: jobs(limit=50)]
    for read in readers:
        with CaptureQueriesContext(connections[ledger_db]) as captured:
            read()
        assert len(captured) == 1


def test_a_page_is_what_progress_says_of_each_job(ledger_db: str, clock: Any) -> None:
    for n in range(4):
        submit(f"j{n}", keys(n), stages=TWO_STAGES, policy={"alert_failed_items": 0})
    fail(worker.lease(limit=1))
    succeed(worker.lease(limit=1), output={"at": 1})
    assert jobs() == [progress(job.pk) for job in Job.objects.order_by("-pk")]


def test_a_deleted_job_is_absent_from_the_page(ledger_db: str) -> None:
    first, second = (submit(f"j{n}", keys(1), pipeline="p") for n in range(2))
    delete(first.pk)
    assert [job["id"] for job in jobs()] == [second.pk]


def test_the_eta_goes_by_what_this_run_has_settled(ledger_db: str, clock: Any) -> None:
    job = submit("j", keys(100), pipeline="p", policy={"failure_threshold": 1})
    while leases := claim("p", 50).leases:
        for lease in leases:
            given = worker.numbers(lease)
            succeed(lease, *(n for n in given if n % 10))
            fail(lease, *(n for n in given if n % 10 == 0))
    clock.forward(1_000)
    retry(job.pk)
    lease = worker.lease(limit=10)
    clock.forward(10)
    assert progress(job.pk)["eta"] is None  # no rate yet, though 90 were settled before
    succeed(lease, worker.numbers(lease)[0])
    assert progress(job.pk)["eta"]["p50"] == 90  # nine more, at ten seconds each


def test_an_eta_after_a_retry_that_is_started_later(ledger_db: str, clock: Any) -> None:
    job = submit("j", keys(4), pipeline="p", policy={"failure_threshold": 1})
    lease = worker.lease()
    succeed(lease, 0, 1)
    fail(lease, 2, 3)
    retry(job.pk, start_now=False)
    start(job.pk)
    lease = worker.lease()
    clock.forward(10)
    succeed(lease, 2)
    assert progress(job.pk)["eta"]["p50"] == 10
    assert Lease.objects.count() == 2
    assert progress(job.pk)["status"] == JobStatus.STARTED
