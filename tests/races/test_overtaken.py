"""Verbs that stall after reading the job, while its run ends and the next one begins.

Two sweeps, or a sweep and the caller, do the same work at once; the slower one must not apply to
the next run what was meant for the previous one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from joblot.errors import NotFound
from joblot.ledger.job.lifecycle import cancel, end_cancel, start
from joblot.ledger.job.prune import prune
from joblot.ledger.job.retry import go_on_reopening, retry
from joblot.ledger.lease import release, renew
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.worker import fail, keys, numbers, status, succeed
from tests.races.meeting import Gate

pytestmark = pytest.mark.usefixtures("postgres_only")

ANY_AGE = timedelta(seconds=-1)
DRAIN = "DELETE FROM joblot_range"
READ_JOB = 'FROM "joblot_job"'


class TestACancelThatWasFinishedByAnother:
    def test_leaves_the_ranges_of_the_next_run(self, in_thread: Any) -> None:
        job = submit("overtaken", keys(2), pipeline="p")
        gate = Gate(DRAIN)
        stalled = in_thread(gate.through(lambda: cancel(job.pk, grace_seconds=0)))
        gate.wait()
        assert end_cancel(job.pk, grace_seconds=0).status == "REVOKED"
        retry(job.pk)
        gate.open()
        stalled.result()
        assert numbers(worker.lease()) == [0, 1]

    def test_leaves_the_leases_of_the_next_run(self, in_thread: Any) -> None:
        job = submit("overtaken", keys(2), pipeline="p")
        gate = Gate(
            "FOR UPDATE SKIP LOCKED"
        )  # the cancel is due, the leases are about to be closed
        stalled = in_thread(gate.through(lambda: cancel(job.pk, grace_seconds=0)))
        gate.wait()
        assert end_cancel(job.pk, grace_seconds=0).status == "REVOKED"
        retry(job.pk)
        lease = worker.lease()
        gate.open()
        stalled.result()
        assert succeed(lease) == ["counted", "counted"]
        assert status(job) == "SUCCESS"

    def test_sets_no_deadline_for_the_next_run(self, in_thread: Any) -> None:
        job = submit("overtaken", keys(2), pipeline="p")
        gate = Gate("SET cancel_closes_at")  # the claims are drained
        stalled = in_thread(gate.through(lambda: cancel(job.pk, grace_seconds=0)))
        gate.wait()
        assert end_cancel(job.pk, grace_seconds=0).status == "REVOKED"
        retry(job.pk)
        lease = worker.lease()
        assert cancel(job.pk, grace_seconds=60).status == "CANCELING"
        due = Job.objects.get().cancel_closes_at
        gate.open()
        stalled.result()
        assert Job.objects.get().cancel_closes_at == due
        assert succeed(lease) == ["counted", "counted"]


class TestARetryThatWasFinishedByAnother:
    def test_leaves_the_leases_of_its_run(self, in_thread: Any) -> None:
        job = submit("overtaken", keys(2), pipeline="p")
        fail(worker.lease())
        gate = Gate("FOR UPDATE SKIP LOCKED")
        stalled = in_thread(gate.through(lambda: retry(job.pk)))
        gate.wait()
        go_on_reopening(job.pk)  # like a sweep that sees the retry in progress
        lease = worker.lease()
        gate.open()
        stalled.result()
        assert succeed(lease) == ["counted", "counted"]
        assert status(job) == "SUCCESS"


def test_a_start_that_meets_a_retry_leaves_the_reopening_to_it(in_thread: Any) -> None:
    job = submit("overtaken", keys(2), pipeline="p")
    fail(worker.lease())
    starts, reopens = Gate(READ_JOB, nth=2), Gate("FOR UPDATE SKIP LOCKED")
    stalled = in_thread(starts.through(lambda: start(job.pk)))
    starts.wait()  # it has seen that nothing is being reopened
    retried = in_thread(reopens.through(lambda: retry(job.pk)))
    reopens.wait()
    starts.open()
    stalled.result()
    reopens.open()
    retried.result()
    assert Job.objects.get().run == 2
    assert numbers(worker.lease()) == [0, 1]


class TestAPruneThatWasOvertakenByARetry:
    @pytest.mark.parametrize("before", ["FROM joblot_lease", 'UPDATE "joblot_job"'])
    def test_leaves_the_job_and_what_it_has_counted_alone(
        self, in_thread: Any, before: str
    ) -> None:
        job = submit("overtaken", keys(2), pipeline="p")
        fail(worker.lease())
        gate = Gate(before)
        stalled = in_thread(gate.through(lambda: prune(ANY_AGE)))
        gate.wait()
        retry(job.pk)
        lease = worker.lease()
        assert succeed(lease, 0) == ["counted"]
        gate.open()
        assert stalled.result() == 0
        assert succeed(lease, 1) == ["counted"]
        assert status(job) == "SUCCESS"


@pytest.mark.parametrize(
    ("verb", "before"), [(renew, "UPDATE joblot_lease"), (release, "FOR UPDATE")]
)
def test_a_worker_whose_job_is_pruned_meanwhile_is_told_so(
    in_thread: Any, verb: Callable[[str], Any], before: str
) -> None:
    submit("overtaken", keys(1), pipeline="p")
    lease = worker.lease()
    fail(lease)
    gate = Gate(before)
    stalled = in_thread(gate.through(lambda: verb(lease.token)))
    gate.wait()
    prune(timedelta(0))
    gate.open()
    assert isinstance(stalled.error(), NotFound)
