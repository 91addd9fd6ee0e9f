"""Why a job does not proceed: what its open items wait for."""

from __future__ import annotations

from joblot.ledger.lease import expire, release
from joblot.ledger.read.why import why
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.worker import fail, keys, succeed

NEVER = "ready and not claimed yet"
RETURNED = "came back from expired leases, and not claimed again yet"
GIVEN_BACK = "given back by their worker, and not claimed again yet"
FAILED = "failed before, and are ready for their next try"


def ready(job: Job) -> dict[str, int]:
    return {one["text"]: one["count"] for one in why(job.pk)["reasons"] if one["code"] == "ready"}


def test_items_that_were_never_claimed_are_told_from_those_that_came_back(ledger_db: str) -> None:
    job = submit("why", keys(10), pipeline="p")
    assert ready(job) == {NEVER: 10}
    lease, kept, lost = (worker.lease(limit=n) for n in (2, 1, 3))
    assert ready(job) == {NEVER: 4}
    release(lease.token)
    expire(lost.token)
    assert ready(job) == {NEVER: 4, GIVEN_BACK: 2, RETURNED: 3}
    succeed(kept)
    assert ready(job) == {NEVER: 4, GIVEN_BACK: 2, RETURNED: 3}


def test_items_that_failed_are_ready_for_their_next_try(ledger_db: str) -> None:
    policy = {"retry_backoff_seconds": 0, "failures_max": 3}
    job = submit("why", keys(3), pipeline="p", policy=policy)
    fail(worker.lease(limit=2), retryable=True)
    assert ready(job) == {NEVER: 1, FAILED: 2}


def test_an_item_that_came_back_twice_is_counted_among_those_that_came_back(ledger_db: str) -> None:
    job = submit("why", keys(1), pipeline="p")
    for _ in range(2):
        expire(worker.lease().token)
    assert ready(job) == {RETURNED: 1}
    (alone,) = (one for one in why(job.pk)["reasons"] if one["code"] == "suspect")
    assert alone["count"] == 1


def test_one_worker_is_no_plural(ledger_db: str) -> None:
    job = submit("why", keys(2), pipeline="p")
    worker.lease(limit=1, worker="a")
    assert "being worked on by 1 worker" in [one["text"] for one in why(job.pk)["reasons"]]
    worker.lease(limit=1, worker="b")
    assert "being worked on by 2 workers" in [one["text"] for one in why(job.pk)["reasons"]]
