"""Prefetched items: their bound, and renewing them according to the worker's progress."""

from __future__ import annotations

from uuid import uuid4

from joblot.contrib.antenna.ahead import held_ahead, renew_ahead
from joblot.ledger.lease import expire_overdue
from joblot.ledger.read.in_flight import in_flight
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.wire import GrantedLease
from tests.ledger import worker
from tests.ledger.worker import keys, succeed


def taken(job: Job, name: str = "gpu") -> GrantedLease:
    return worker.lease(limit=1, job=job.pk, worker=name)


def held(job: Job) -> set[str]:
    return {lease["token"] for lease in in_flight(job=job.pk)}


def test_what_was_granted_later_is_held(ledger_db: str, clock) -> None:
    job = submit("j", keys(3), pipeline="p")
    first, second, third = (taken(job) for _ in range(3))
    clock.forward(200)
    succeed(first)
    assert renew_ahead(first.token, 300) == 2
    clock.forward(299)
    assert expire_overdue() == 0
    assert held(job) == {second.token, third.token}
    clock.forward(2)
    assert expire_overdue() == 2, "nothing came through any lease since"


def test_of_two_workers_of_one_name_the_dead_one_is_not_held(ledger_db: str, clock) -> None:
    job = submit("j", keys(10), pipeline="p")
    dead = taken(job)
    for _ in range(5):
        clock.forward(90)
        alive = taken(job)
        succeed(alive)
        renew_ahead(alive.token, 300)
        expire_overdue()
    assert dead.token not in held(job)


def test_what_is_out_of_order_by_a_little_is_held(ledger_db: str, clock, configure) -> None:
    job = submit("j", keys(2), pipeline="p")
    first = taken(job)
    clock.forward(30)
    second = taken(job)
    clock.forward(170)
    succeed(second)
    assert renew_ahead(second.token, 300) == 1
    assert held(job) == {first.token}


def test_nothing_is_held_of_another_worker_or_job(ledger_db: str, clock) -> None:
    job, other = (submit("j", keys(3), pipeline="p") for _ in range(2))
    mine = taken(job)
    taken(job, "another")
    taken(other)
    clock.forward(200)
    succeed(mine)
    assert renew_ahead(mine.token, 300) == 0


def test_a_lease_with_enough_time_is_left_alone(ledger_db: str, clock) -> None:
    job = submit("j", keys(2), pipeline="p", policy={"lease_seconds": 1_000})
    first = taken(job)
    taken(job)
    clock.forward(200)
    assert renew_ahead(first.token, 300) == 0, "it would be shortened"


def test_an_unknown_lease_holds_nothing(ledger_db: str) -> None:
    assert renew_ahead(str(uuid4()), 300) == 0


def test_what_a_worker_was_granted_of_late_and_still_holds(ledger_db: str, clock) -> None:
    job = submit("j", keys(9), pipeline="p")
    taken(job)
    clock.forward(50)
    second, _ = taken(job), taken(job)
    taken(job, "another")
    assert held_ahead(job.pk, "gpu", 60) == 3
    clock.forward(20)
    assert held_ahead(job.pk, "gpu", 60) == 2
    succeed(second)
    assert held_ahead(job.pk, "gpu", 60) == 1
    assert held_ahead(job.pk + 1, "gpu", 60) == 0
