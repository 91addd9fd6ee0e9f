"""Edit: name, priority and policy of a job, whatever its status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from joblot.errors import InvalidInput, InvalidPolicy, NotDurable, NotFound
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.edit import edit
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.lease import renew
from joblot.ledger.read.history import events
from joblot.ledger.submit.submit import submit
from joblot.models import ItemRange, Job
from joblot.models import Lease as LeaseRow
from joblot.states import JobStatus
from tests.ledger import worker
from tests.ledger.statuses import job_in
from tests.ledger.worker import fail, keys, kinds, status, succeed


def edits(job: Job) -> list[dict[str, Any]]:
    return [one["data"] for one in events(job.pk) if one["kind"] == "edited"]


def test_the_event_has_each_change_from_and_to(ledger_db: str) -> None:
    job = submit("old", keys(2), pipeline="p", policy={"failures_max": 5})
    now = edit(
        job.pk, name="new", priority=-3, policy={"failures_max": 7, "in_flight_items_max": 10}
    )
    assert (now.name, now.priority, now.version) == ("new", -3, job.version + 1)
    assert now.policy == job.policy | {"failures_max": 7, "in_flight_items_max": 10}
    assert edits(job) == [
        {
            "name": ["old", "new"],
            "priority": [0, -3],
            "policy.failures_max": [5, 7],
            "policy.in_flight_items_max": [None, 10],
        }
    ]


def test_null_restores_the_default_and_the_rest_of_the_policy_stays(
    ledger_db: str, configure: Callable[..., None]
) -> None:
    configure(policy={"failures_max": 4})
    job = submit("j", keys(1), pipeline="p", policy={"failures_max": 9, "lease_seconds": 60})
    edit(job.pk, policy={"failures_max": None, "in_flight_items_max": None})
    assert edits(job) == [{"policy.failures_max": [9, 4]}]
    assert Job.objects.get().policy == job.policy | {"failures_max": 4}


def test_an_edit_that_changes_nothing_is_no_event(ledger_db: str) -> None:
    job = submit("same", keys(1), pipeline="p", priority=3)
    assert edit(job.pk).version == job.version
    same = edit(job.pk, name="same", priority=3, policy={"failures_max": 3})
    assert (same.version, edits(job)) == (job.version, [])


@pytest.mark.parametrize("wanted", JobStatus)
def test_a_job_is_edited_in_every_status(ledger_db: str, wanted: JobStatus) -> None:
    job = job_in(wanted)
    assert edit(job.pk, name="other", policy={"lease_seconds": 7}).status == wanted
    assert edits(job)[-1]["name"] == [job.name, "other"]


def test_what_a_submission_would_refuse_is_refused(ledger_db: str) -> None:
    job = submit("j", keys(1), pipeline="p")
    for wrong in ("", "x" * 201, "a\x00"):
        with pytest.raises(InvalidInput, match="name: expected text"):
            edit(job.pk, name=wrong)
    with pytest.raises(InvalidInput, match="priority: expected a whole number"):
        edit(job.pk, priority=2**31)
    with pytest.raises(InvalidPolicy, match="unknown policy speed"):
        edit(job.pk, name="new", policy={"speed": 1})
    with pytest.raises(InvalidPolicy, match="failures_max: expected 1 to 1000, got 0"):
        edit(job.pk, policy={"failures_max": 0})
    with pytest.raises(NotFound):
        edit(4711, name="x")
    with transaction.atomic(using=ledger_db), pytest.raises(NotDurable):
        edit(job.pk, name="x")
    assert (Job.objects.get().name, kinds(job)) == ("j", ["started"])
    delete(job.pk)
    with pytest.raises(NotFound):
        edit(job.pk, name="x")


def test_lease_seconds_count_from_the_next_claim_and_the_next_renewal(
    ledger_db: str, clock: Any
) -> None:
    job = submit("j", keys(2), pipeline="p", policy={"lease_seconds": 100})
    first = worker.lease(limit=1)
    edit(job.pk, policy={"lease_seconds": 500})
    assert worker.lease(limit=1).lease_seconds == 500
    ends = LeaseRow.objects.values_list("expires_at", flat=True)
    assert [(one - clock.now).total_seconds() for one in ends.order_by("expires_at")] == [100, 500]
    renew(first.token)
    assert {(one - clock.now).total_seconds() for one in ends.all()} == {500}


def test_a_limit_of_items_in_flight_counts_from_the_next_claim(ledger_db: str) -> None:
    job = submit("j", keys(4), pipeline="p", policy={"in_flight_items_max": 1})
    worker.lease(limit=1)
    assert claim("p", 1).reason == "at_limit"
    edit(job.pk, policy={"in_flight_items_max": 2})
    worker.lease(limit=1)
    assert claim("p", 1).reason == "at_limit"
    edit(job.pk, policy={"in_flight_items_max": None})
    assert len(worker.lease(limit=2).items) == 2


def test_failures_max_counts_from_the_next_failure(ledger_db: str) -> None:
    job = submit("j", keys(1), pipeline="p", policy={"retry_backoff_seconds": 0})
    assert fail(worker.lease(), retryable=True) == ["requeued"]
    edit(job.pk, policy={"failures_max": 2})
    assert fail(worker.lease(), retryable=True) == ["counted"]
    assert status(job) == "FAILURE"


def test_the_threshold_judges_the_end_of_the_run_and_no_run_that_has_ended(ledger_db: str) -> None:
    job = submit("j", keys(2), pipeline="p", policy={"failure_threshold": 0.9})
    lease = worker.lease()
    fail(lease, 0)
    edit(job.pk, policy={"failure_threshold": 0.1})
    succeed(lease, 1)
    assert status(job) == "FAILURE"
    edit(job.pk, policy={"failure_threshold": 0.9})
    assert status(job) == "FAILURE"


def test_a_lower_alert_that_is_exceeded_already_is_sent_at_once(ledger_db: str) -> None:
    job = submit("j", keys(3), pipeline="p")
    fail(worker.lease(limit=2))
    edit(job.pk, policy={"alert_failed_items": 1})
    assert kinds(job) == ["started", "claimed", "edited", "failing"]


def test_a_grace_that_runs_already_stays_as_it_is(ledger_db: str, clock: Any) -> None:
    job = submit("j", keys(2), pipeline="p")
    worker.lease(limit=1)
    cancel(job.pk, grace_seconds=10)
    before = Job.objects.get().cancel_closes_at
    edit(job.pk, policy={"cancel_grace_seconds": 1000})
    assert Job.objects.get().cancel_closes_at == before


def test_priority_decides_from_the_next_claim(ledger_db: str) -> None:
    submit("first", keys(1), pipeline="p")
    second = submit("second", keys(1), pipeline="p")
    edit(second.pk, priority=5)
    assert worker.lease(limit=1).job == second.pk
    assert ItemRange.objects.filter(job_id=second.pk).count() == 0


def test_submitting_again_with_the_key_still_finds_an_edited_job(ledger_db: str) -> None:
    job = submit("j", keys(1), pipeline="p", idempotency_key="k", priority=1)
    edit(job.pk, name="other", priority=2, policy={"failures_max": 9})
    assert submit("j", keys(1), pipeline="p", idempotency_key="k", priority=1).pk == job.pk
