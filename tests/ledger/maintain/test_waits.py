"""A clock that jumps hours ahead and back delays nothing for longer than its rule says."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.config import limits
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, release, renew
from joblot.ledger.maintain.delivery import deliver
from joblot.ledger.maintain.pipelines import edit_pipeline
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.progress import progress
from joblot.ledger.read.workers import presence
from joblot.ledger.report.hooks import JobNotice, on_event
from joblot.ledger.rows.workers import seen
from joblot.ledger.submit.submit import submit
from joblot.models import Event, ItemRange, Lease
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import fail, keys, succeed

HOURS = 5 * 3_600
POLICY = {"retry_backoff_seconds": 10, "retry_backoff_seconds_max": 60, "lease_seconds": 100}


def test_an_item_that_failed_while_the_clock_was_ahead_is_tried_in_time(
    ledger_db: str, clock: Clock
) -> None:
    submit("j", keys(1), pipeline="p", policy=POLICY)
    lease = worker.lease()
    clock.forward(HOURS)
    fail(lease, retryable=True)
    clock.forward(-HOURS)
    sweep()
    assert worker.nothing()  # its backoff still applies
    clock.forward(POLICY["retry_backoff_seconds"])
    assert worker.lease().items


@pytest.mark.parametrize("of_pipeline", [False, True])
@pytest.mark.parametrize("granted_ahead", [4, 5])
def test_what_was_granted_while_the_clock_was_ahead_counts_as_granted_when_it_is_right_again(
    ledger_db: str, clock: Clock, of_pipeline: bool, granted_ahead: int
) -> None:
    """With a rate of five items per minute."""
    rate = {"rate_items_max": 5, "rate_seconds": 60}
    if of_pipeline:
        edit_pipeline("p", policy=rate)
    submit("slow", keys(30), pipeline="p", policy={} if of_pipeline else rate)
    clock.forward(HOURS)
    assert len(worker.lease(limit=granted_ahead).items) == granted_ahead
    clock.forward(-HOURS)
    sweep()
    assert len(claim("p", 16).leases) == 5 - granted_ahead
    assert worker.nothing()
    clock.forward(61)
    assert len(worker.lease(limit=16).items) == 5


VERBS: dict[str, Any] = {
    "claimed": lambda lease: None,
    "renewed": lambda lease: renew(lease.token),
    "released": lambda lease: release(lease.token),
    "expired": lambda lease: expire(lease.token),
    "failed": lambda lease: fail(lease, retryable=True),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("granted_ahead", [False, True])
def test_whatever_happens_while_the_clock_is_ahead_the_job_ends_in_time(
    ledger_db: str, clock: Clock, verb: str, granted_ahead: bool
) -> None:
    """The worker dies meanwhile. Only a renewal extends by the jump; see the next test."""
    job = submit("j", keys(3), pipeline="p", policy=POLICY)
    if not granted_ahead:
        lease = worker.lease()
    clock.forward(HOURS)
    if granted_ahead:
        lease = worker.lease()
    VERBS[verb](lease)
    clock.forward(-HOURS)
    sweep()
    seconds = HOURS if verb == "renewed" and not granted_ahead else 0
    clock.forward(seconds + POLICY["lease_seconds"] + 1)
    sweep()
    while leases := claim("p").leases:
        succeed(leases[0])
    assert progress(job.pk)["status"] == "SUCCESS"


def test_a_worker_that_lives_sets_its_lease_right_by_the_next_renewal(
    ledger_db: str, clock: Clock
) -> None:
    submit("j", keys(1), pipeline="p", policy=POLICY)
    lease = worker.lease()
    clock.forward(HOURS)
    renew(lease.token)
    clock.forward(-HOURS)
    renew(lease.token)
    clock.forward(POLICY["lease_seconds"] + 1)
    sweep()
    assert worker.lease().items


def test_no_lease_is_held_for_longer_than_a_renewal_may_ask(ledger_db: str, clock: Clock) -> None:
    submit("j", keys(1), pipeline="p", policy=POLICY)
    lease = worker.lease()
    clock.forward(2 * limits().lease_seconds_max)
    renew(lease.token)
    clock.forward(-2 * limits().lease_seconds_max)
    sweep()
    clock.forward(POLICY["lease_seconds"] + 1)
    sweep()
    assert worker.lease().items


def test_events_of_a_clock_that_was_ahead_are_delivered_in_time(
    ledger_db: str, clock: Clock
) -> None:
    handled: list[str] = []
    on_event("finished")(lambda event: handled.append(event.kind))
    clock.forward(HOURS)
    submit("j", keys(1), pipeline="p")
    worker.drain()
    clock.forward(-HOURS)
    sweep()
    deliver()
    assert handled == ["finished"]


def test_a_handler_that_failed_while_the_clock_was_ahead_is_called_again_in_time(
    ledger_db: str, clock: Clock
) -> None:
    handled: list[str] = []

    @on_event("finished")
    def fails_once(event: JobNotice) -> None:
        handled.append(event.kind)
        if len(handled) == 1:
            raise ValueError("not yet")

    submit("j", keys(1), pipeline="p")
    worker.drain()
    clock.forward(HOURS)
    sweep()
    deliver()
    assert handled == ["finished"]
    clock.forward(-HOURS)
    sweep()
    clock.forward(limits().handler_seconds_max + limits().outbox_backoff_seconds + 1)
    deliver()
    assert handled == ["finished", "finished"]


def test_a_jump_ahead_costs_an_item_one_expiry_at_most(ledger_db: str, clock: Clock) -> None:
    job = submit("j", keys(1), pipeline="p", policy={**POLICY, "expiries_max": 2})
    expire(
        worker.lease().token
    )  # from here on it is leased alone, so that expiries count against it
    lease = worker.lease()
    clock.forward(HOURS)
    sweep()
    sweep()
    clock.forward(-HOURS)
    sweep()
    assert [row.expiries for row in ItemRange.objects.filter(job=job)] == [1]
    assert succeed(lease) == ["counted"]
    assert progress(job.pk)["status"] == "SUCCESS"


def test_a_worker_seen_in_the_future_is_not_online(ledger_db: str, clock: Clock) -> None:
    clock.forward(HOURS)
    seen(1, "ahead")
    assert presence()["online"] == 1
    clock.forward(-HOURS)
    assert presence()["online"] == 0


def test_a_cancel_and_a_retry_do_not_wait_for_a_clock(ledger_db: str, clock: Clock) -> None:
    job = submit("j", keys(2), pipeline="p", policy=POLICY)
    worker.lease(limit=1)
    clock.forward(HOURS)
    cancel(job.pk, grace_seconds=10)
    clock.forward(-HOURS)
    clock.forward(POLICY["lease_seconds"] + 1)
    sweep()
    assert progress(job.pk)["status"] == "REVOKED"
    clock.forward(HOURS)
    retry(job.pk)
    clock.forward(-HOURS)
    sweep()
    worker.drain()
    assert progress(job.pk)["status"] == "SUCCESS"


def test_nothing_is_brought_forward_that_waits_as_it_should(ledger_db: str, clock: Clock) -> None:
    submit("j", keys(2), pipeline="p", policy=POLICY)
    first = worker.lease(limit=1)
    fail(first, retryable=True)
    second = worker.lease(limit=1)
    renew(second.token, 3_600)
    before = [ItemRange.objects.get().not_before, Lease.objects.get(pk=second.token).expires_at]
    failing = list(Event.objects.values_list("next_try_at", flat=True))
    sweep()
    assert [
        ItemRange.objects.get().not_before,
        Lease.objects.get(pk=second.token).expires_at,
    ] == before
    assert list(Event.objects.values_list("next_try_at", flat=True)) == failing
