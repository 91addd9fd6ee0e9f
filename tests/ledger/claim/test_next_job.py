"""The job that a claim would be served from, without claiming."""

from __future__ import annotations

import pytest

from joblot.errors import InvalidInput
from joblot.ledger.claim.availability import next_job
from joblot.ledger.job.lifecycle import pause
from joblot.ledger.submit.submit import submit
from joblot.states import NoLease
from tests.failures.statements import written_by
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, keys, succeed


def test_it_is_what_the_next_claim_is_served_from(ledger_db: str) -> None:
    for n in range(12):
        submit(f"j{n}", keys(3), pipeline="p", project=f"of {n % 4}", priority=n % 3)
    for _ in range(36):
        found = next_job("p").job
        assert found is not None
        lease = worker.lease(limit=1)
        assert (found.id, found.stage, found.pipeline) == (lease.job, lease.stage, "p")


def test_it_says_what_the_job_is(ledger_db: str) -> None:
    job = submit("named", keys(1), stages=TWO_STAGES, project="mine")
    assert next_job(["p", "q"]).as_json() == {
        "job": {
            "id": job.pk,
            "name": "named",
            "project": "mine",
            "stage": "read",
            "pipeline": "p",
        },
        "reason": "",
        "retry_after_seconds": 0.0,
    }
    succeed(worker.lease())
    found = next_job(["p", "q"]).job
    assert found is not None
    assert found.stage == "save"


def test_asking_changes_nothing(ledger_db: str) -> None:
    for project in ("a", "b", "c"):
        submit(project, keys(4), pipeline="p", project=project)
    first = next_job("p")
    assert not written_by(lambda: [next_job("p") for _ in range(5)])
    assert next_job("p") == first
    assert first.job is not None
    assert worker.lease().job == first.job.id


def test_without_a_job_it_says_why(ledger_db: str) -> None:
    assert next_job("p").reason == NoLease.UNKNOWN_PIPELINE
    job = submit("one", keys(2), pipeline="p")
    assert next_job("p", projects=["other"]).reason == NoLease.NONE_QUEUED
    assert next_job("p", job=job.pk + 1).job is None
    pause(job.pk)
    nothing = next_job("p")
    assert (nothing.job, nothing.reason) == (None, NoLease.PAUSED)
    assert nothing.retry_after_seconds > 0


def test_a_caller_at_its_limit_is_told_so(ledger_db: str) -> None:
    submit("two", keys(2), pipeline="p")
    worker.lease(limit=1, owner=7)
    assert next_job("p", owner=7, owner_items_max=1).reason == NoLease.AT_LIMIT
    assert next_job("p", owner=8, owner_items_max=1).job is not None


def test_a_pipeline_that_is_no_name_is_refused(ledger_db: str) -> None:
    with pytest.raises(InvalidInput, match="pipeline"):
        next_job("")
