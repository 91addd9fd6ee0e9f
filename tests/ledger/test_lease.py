"""Renew, release, expire: which budgets are charged, and what a dead worker costs its items."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from joblot.errors import InvalidInput, LeaseEnded, NotDurable, NotFound
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.close import close_leases
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.lease import expire, expire_overdue, release, renew, renew_many
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import ItemRange
from joblot.models import Lease as LeaseRow
from joblot.states import LeaseState
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, receipts, status, succeed


def state(lease: Any) -> LeaseState:
    return LeaseState(LeaseRow.objects.get(pk=lease.token).state)


def test_a_lease_is_renewed_from_now_on(ledger_db: str, clock: Any) -> None:
    submit("one", keys(1), pipeline="p", policy={"lease_seconds": 60})
    lease = worker.lease()
    assert datetime.fromisoformat(lease.expires_at) == clock.now + timedelta(seconds=60)
    clock.forward(50)
    assert datetime.fromisoformat(renew(lease.token)) == clock.now + timedelta(seconds=60)
    clock.forward(50)
    assert expire_overdue() == 0
    assert datetime.fromisoformat(renew(lease.token, 5)) == clock.now + timedelta(seconds=5)
    clock.forward(6)
    assert expire_overdue() == 1


@pytest.mark.parametrize("seconds", [0, -1, 604_801, float("nan"), float("inf"), True, "60"])
def test_a_lease_is_held_for_a_bounded_time(ledger_db: str, seconds: Any) -> None:
    submit("one", keys(1), pipeline="p")
    lease = worker.lease()
    with pytest.raises(InvalidInput, match="seconds: expected a number above 0, at most 604800"):
        renew(lease.token, seconds)
    assert LeaseRow.objects.get().expires_at.isoformat() == lease.expires_at
    assert renew(lease.token, 604_800) > lease.expires_at


def test_an_overdue_lease_that_nobody_swept_is_renewed(ledger_db: str, clock: Any) -> None:
    submit("one", keys(1), pipeline="p", policy={"lease_seconds": 60})
    lease = worker.lease()
    clock.forward(1000)
    renew(lease.token)
    assert expire_overdue() == 0


def test_a_spent_lease_is_renewed_and_never_expires(ledger_db: str, clock: Any) -> None:
    submit("two", keys(2), pipeline="p")
    lease = worker.lease(limit=1)
    succeed(lease)
    assert state(lease) == LeaseState.SPENT
    renew(lease.token)
    clock.forward(10_000)
    assert expire_overdue() == 0


@pytest.mark.parametrize("how", ["expire", "release", "cancel"])
def test_an_ended_lease_is_not_renewed(ledger_db: str, how: str) -> None:
    job = submit("one", keys(1), pipeline="p")
    lease = worker.lease()
    if how == "expire":
        assert expire(lease.token)
    elif how == "release":
        assert release(lease.token) == 1
    else:
        cancel(job.pk, grace_seconds=0)
    with pytest.raises(LeaseEnded, match="closed" if how == "cancel" else "expired"):
        renew(lease.token)


def deadline(lease: Any) -> datetime:
    found: datetime = LeaseRow.objects.get(pk=lease.token).expires_at
    return found


def test_several_leases_are_renewed_at_once(ledger_db: str, clock: Any) -> None:
    submit("three", keys(3), pipeline="p", policy={"lease_seconds": 60})
    first, second, other = (worker.lease(limit=1) for _ in range(3))
    clock.forward(50)
    assert renew_many([UUID(first.token), UUID(second.token), uuid4()], 60) == 2
    assert deadline(first) == deadline(second) == clock.now + timedelta(seconds=60)
    assert deadline(other) == clock.now + timedelta(seconds=10)
    assert renew_many([], 60) == 0


def test_renewing_several_shortens_none(ledger_db: str, clock: Any) -> None:
    submit("two", keys(2), pipeline="p", policy={"lease_seconds": 1_000})
    long, short = (worker.lease(limit=1) for _ in range(2))
    renew(short.token, 10)
    assert renew_many([UUID(long.token), UUID(short.token)], 60) == 1
    assert deadline(long) == clock.now + timedelta(seconds=1_000)


def test_of_several_those_that_have_ended_are_not_renewed(ledger_db: str, clock: Any) -> None:
    submit("two", keys(2), pipeline="p", policy={"lease_seconds": 60})
    expired, spent = (worker.lease(limit=1) for _ in range(2))
    expire(expired.token)
    succeed(spent)
    assert renew_many([UUID(expired.token), UUID(spent.token)], 600) == 0
    assert deadline(expired) == clock.now + timedelta(seconds=60)


@pytest.mark.parametrize("seconds", [0, 604_801, True, "60"])
def test_several_leases_are_held_for_a_bounded_time_too(ledger_db: str, seconds: Any) -> None:
    with pytest.raises(InvalidInput, match="seconds: expected a number above 0, at most 604800"):
        renew_many([], seconds)


@pytest.mark.parametrize("verb", [renew, release, expire])
@pytest.mark.parametrize("token", ["nonsense", "5bd5c9b2-60a7-4d0e-9a86-31f4f0a4d001", UUID(int=1)])
def test_an_unknown_lease_is_not_found(ledger_db: str, verb: Any, token: Any) -> None:
    with pytest.raises(NotFound, match="unknown lease"):
        verb(token)


@pytest.mark.parametrize("verb", [renew, release, expire])
def test_ending_or_renewing_inside_a_transaction_is_refused(ledger_db: str, verb: Any) -> None:
    submit("one", keys(1), pipeline="p")
    lease = worker.lease()
    with transaction.atomic(using=ledger_db), pytest.raises(NotDurable):
        verb(lease.token)
    assert state(lease) == LeaseState.LIVE


def test_releasing_gives_back_what_is_open_at_no_cost(ledger_db: str) -> None:
    job = submit("four", keys(4), pipeline="p")
    lease = worker.lease()
    succeed(lease, 1)
    assert release(lease.token) == 3
    assert release(lease.token) == 0
    again = worker.lease()
    assert [(item.id, item.attempt) for item in again.items] == [(0, 1), (2, 1), (3, 1)]
    assert fail(lease, 0) == ["superseded"]
    assert succeed(lease, 0) == ["counted"]
    assert succeed(again, 0) == ["duplicate"]
    succeed(again, 2, 3)
    assert status(job) == "SUCCESS"


def test_what_was_released_and_then_reported_is_not_worked_again(ledger_db: str) -> None:
    submit("two", keys(2), pipeline="p")
    lease = worker.lease()
    release(lease.token)
    assert succeed(lease, 0) == ["counted"]
    assert worker.numbers(worker.lease()) == [1]


def test_an_expired_lease_gives_back_what_is_open_only(ledger_db: str) -> None:
    job = submit("four", keys(4), pipeline="p")
    lease = worker.lease()
    succeed(lease, 0)
    fail(lease, 1)
    assert expire(lease.token)
    assert not expire(lease.token)
    assert worker.numbers(worker.lease()) == [2, 3]
    assert counts(job) == {"succeeded": 1, "failed": 1}


def test_the_first_expiry_brings_items_back_together_then_one_by_one(ledger_db: str) -> None:
    submit("four", keys(4), pipeline="p")
    expire(worker.lease().token)
    together = worker.lease()
    assert worker.numbers(together) == [0, 1, 2, 3]
    expire(together.token)
    alone = [worker.numbers(worker.lease()) for _ in range(4)]
    assert sorted(alone) == [[0], [1], [2], [3]]
    assert worker.nothing()


def test_an_item_is_lost_when_its_leases_alone_have_expired_too_often(
    ledger_db: str, clock: Any
) -> None:
    job = submit("one", keys(1), pipeline="p", policy={"expiries_max": 3, "lease_seconds": 10})
    for attempt in (1, 1, 2, 3):  # the first expiry costs no budget
        assert worker.lease().items[0].attempt == attempt
        clock.forward(11)
        assert expire_overdue() == 1
    assert counts(job) == {"lost": 1}
    assert status(job) == "FAILURE"
    (item,) = items(job.pk)
    assert item["state"] == "lost"
    assert item["outcomes"][0]["error"]["type"] == "LeaseExpired"
    assert "3 leases" in item["outcomes"][0]["error"]["message"]


def test_the_cause_of_an_expiry_is_kept_with_the_item(ledger_db: str) -> None:
    job = submit("one", keys(1), pipeline="p")
    expire(worker.lease(worker="gpu-7").token, "the machine was shut down")
    (item,) = items(job.pk)
    assert [(a["cause"], a["worker"]) for a in item["attempts"]] == [("expired", "gpu-7")]
    assert item["attempts"][0]["error"]["message"] == "the machine was shut down"


def test_a_poison_item_takes_no_neighbours_along(ledger_db: str) -> None:
    """Item 5 kills every worker that touches it; all the others succeed."""
    job = submit("poison", keys(16), pipeline="p", policy={"expiries_max": 2})
    rounds = 0
    while leases := claim("p").leases:
        rounds += 1
        assert rounds < 60
        (lease,) = leases
        for number in worker.numbers(lease):
            if number == 5:
                expire(lease.token, "killed")
                break
            succeed(lease, number)
    assert counts(job) == {"succeeded": 15, "lost": 1}
    assert [item["id"] for item in items(job.pk, state="lost")] == [5]
    assert status(job) == "COMPLETED_WITH_ERRORS"


def test_a_network_cut_costs_nobody_anything(ledger_db: str, clock: Any) -> None:
    """All leases expire at once, twice; no item's budget is charged."""
    job = submit("cut", keys(64), pipeline="p", policy={"expiries_max": 1, "lease_seconds": 10})
    for _ in range(2):
        while claim("p").leases:
            pass
        clock.forward(11)
        assert expire_overdue() > 0
    assert counts(job) == {}
    assert not ItemRange.objects.filter(expiries__gt=0).exists()
    worker.drain()
    assert status(job) == "SUCCESS"


def test_expiries_do_not_use_up_the_budget_of_failures(ledger_db: str) -> None:
    policy = {"failures_max": 2, "expiries_max": 3, "retry_backoff_seconds": 0}
    job = submit("one", keys(1), pipeline="p", policy=policy)
    for _ in range(3):
        expire(worker.lease().token)
    assert fail(worker.lease(), retryable=True) == ["requeued"]
    lease = worker.lease()
    assert lease.items[0].attempt == 4  # two expiries that count, one failure, this one
    assert fail(lease, retryable=True) == ["counted"]
    assert counts(job) == {"failed": 1}


def test_a_lost_item_is_found_when_its_result_comes_after_all(ledger_db: str) -> None:
    job = submit("one", keys(1), pipeline="p", policy={"expiries_max": 1})
    first = worker.lease()
    expire(first.token)
    expire(worker.lease().token)
    assert counts(job) == {"lost": 1}
    assert succeed(first, output="after all") == ["amended"]
    assert succeed(first, output="after all") == ["duplicate"]
    assert counts(job) == {"succeeded": 1}
    assert (status(job), worker.revision(job)) == ("SUCCESS", 2)
    assert items(job.pk)[0]["outcomes"][0]["output"] == "after all"


def test_a_success_through_an_expired_lease_feeds_the_next_stage_once(ledger_db: str) -> None:
    job = submit("two stages", keys(1), stages=TWO_STAGES)
    stale = worker.lease("p")
    expire(stale.token)
    fresh = worker.lease("p")
    assert succeed(stale, output="x") == ["counted"]
    assert succeed(fresh, output="x") == ["duplicate"]
    assert succeed(worker.lease("q")) == ["counted"]
    assert worker.nothing("q")
    assert status(job) == "SUCCESS"


def test_the_sweep_expires_what_is_overdue_and_finishes_what_that_settles(
    ledger_db: str, clock: Any
) -> None:
    job = submit("one", keys(1), pipeline="p", policy={"expiries_max": 1, "lease_seconds": 10})
    for _ in range(2):
        worker.lease()
        clock.forward(11)
        assert sweep().leases_expired == 1
    assert status(job) == "FAILURE"


def test_closing_takes_expired_leases_too_and_in_batches(ledger_db: str, configure: Any) -> None:
    configure(close_leases_batch=2)
    job = submit("five", keys(6), pipeline="p")
    leases = [worker.lease(limit=1) for _ in range(5)]
    expire(leases[0].token)
    succeed(leases[1])
    cancel(job.pk, grace_seconds=60)
    close_leases(job.pk, 1)
    assert {state(lease) for lease in leases} == {LeaseState.CLOSED}
    assert receipts(leases[0], success(0)) == ["late"]
    sweep()
    assert status(job) == "REVOKED"


def test_in_flight_is_never_less_than_the_truth(ledger_db: str) -> None:
    job = submit("eight", keys(8), pipeline="p", policy={"retry_backoff_seconds": 0})

    def in_flight() -> int:
        return int(progress(job.pk)["stages"][0]["in_flight"])

    lease = worker.lease(limit=6)
    assert in_flight() == 6
    succeed(lease, 0)
    fail(lease, 1)
    fail(lease, 2, retryable=True)
    assert in_flight() == 3
    release(lease.token)
    assert in_flight() == 0
    assert progress(job.pk)["stages"][0]["ready"] == 6


def test_an_item_that_came_through_another_lease_is_in_flight_until_its_own_ends(
    ledger_db: str,
) -> None:
    job = submit("four", keys(4), pipeline="p", policy={"retry_backoff_seconds": 0})
    earlier = worker.lease()
    fail(earlier, retryable=True)
    own = worker.lease(limit=2)
    assert succeed(earlier, worker.numbers(own)[0]) == ["counted"]
    (stage,) = progress(job.pk)["stages"]
    assert (stage["succeeded"], stage["in_flight"], stage["ready"]) == (1, 2, 1)
    release(own.token)
    (stage,) = progress(job.pk)["stages"]
    assert (stage["succeeded"], stage["in_flight"], stage["ready"]) == (1, 0, 3)
