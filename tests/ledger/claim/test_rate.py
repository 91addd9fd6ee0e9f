"""A rate limit: how many items a job grants in any period, over all workers."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from joblot.errors import InvalidPolicy
from joblot.ledger.claim.availability import next_job, ready_for
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.claim.claim import claim
from joblot.ledger.claim.rate import Window
from joblot.ledger.job.edit import edit
from joblot.ledger.job.lifecycle import delete
from joblot.ledger.job.prune import prune
from joblot.ledger.lease import expire, release
from joblot.ledger.maintain.pipelines import edit_pipeline
from joblot.ledger.read.why import why
from joblot.ledger.rows.job import advance
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Lease, Rate
from tests.interleave.verbs import ANY_AGE
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import keys, numbers, succeed

FIVE = {"rate_items_max": 5, "rate_seconds": 60}
WANTED = Wanted.of("p", None, None)


def taken() -> int:
    """How many items are granted until nothing is."""
    items = 0
    while leases := claim("p", 2).leases:
        items += len(leases[0].items)
    return items


@pytest.mark.parametrize("seed", range(20))
def test_no_period_has_more_than_the_limit_whatever_is_asked_when(seed: int) -> None:
    draw = random.Random(seed)
    most, seconds = draw.randint(1, 40), draw.choice([1.0, 7.0, 60.0, 3_600.0])
    window, now, granted = Window(most, seconds), 1.9e9, []
    for _ in range(2_000):
        now += draw.expovariate(1.0) * seconds / most / draw.choice([1, 10])
        window = Window.of(most, seconds, seconds, window.granted, now)
        items = min(draw.randint(1, 16), window.left)
        assert (window.left == 0) == (window.next_at is not None)
        if items:
            window = window.spend(items, now)
            granted.append((now, items))
    for place, (first, _) in enumerate(granted):
        assert sum(n for at, n in granted[place:] if at < first + seconds) <= most
    assert sum(n for _, n in granted) >= 0.5 * most * (now - 1.9e9) / (seconds * 61 / 60) - most


def test_the_next_item_is_due_at_the_moment_that_is_named() -> None:
    window = Window(3, 60.0).spend(2, 120.5).spend(1, 130.0)
    due = window.next_at
    assert due == 181.0
    assert Window.of(3, 60.0, 60.0, window.granted, due - 0.001).left == 0
    assert Window.of(3, 60.0, 60.0, window.granted, due).left == 2


def test_a_job_grants_so_many_in_a_period(ledger_db: str, clock: Clock) -> None:
    submit("slow", keys(30), pipeline="p", policy=FIVE)
    assert [len(worker.lease(limit=4).items), len(worker.lease(limit=4).items)] == [4, 1]
    assert worker.nothing()
    clock.forward(59)
    assert worker.nothing()
    clock.forward(2)
    assert taken() == 5


def test_what_is_left_of_a_period_counts_from_its_beginning(ledger_db: str, clock: Clock) -> None:
    """No claim was refused before, so nothing says when the next item is due."""
    submit("slow", keys(30), pipeline="p", policy=FIVE)
    assert len(worker.lease(limit=3).items) == 3
    clock.forward(59)
    assert len(worker.lease(limit=16).items) == 2
    clock.forward(2)
    assert len(worker.lease(limit=16).items) == 3


def test_a_claim_takes_no_more_than_what_is_left(ledger_db: str, clock: Clock) -> None:
    submit("slow", keys(30), pipeline="p", policy=FIVE)
    assert numbers(worker.lease(limit=16)) == [0, 1, 2, 3, 4]
    clock.forward(61)
    assert numbers(worker.lease(limit=16)) == [5, 6, 7, 8, 9]


def test_why_and_a_claim_say_when_the_next_one_is_due(ledger_db: str, clock: Clock) -> None:
    job = submit("slow", keys(30), pipeline="p", policy=FIVE | {"rate_seconds": 3})
    taken()
    answer = claim("p")
    assert (answer.reason, round(answer.retry_after_seconds, 2)) == ("at_limit", 3.05)
    (reason,) = (one for one in why(job.pk)["reasons"] if one["code"] == "at_rate")
    assert "25 items are ready, but no more than 5 items may be given out in 3 s" in reason["text"]
    assert reason["until"] == (clock.now.replace(microsecond=50_000, second=3)).isoformat()
    assert next_job("p").reason == "at_limit"
    until = ready_for([WANTED]).get(WANTED)
    assert until == (pytest.approx(3.05) if ledger_db == "postgres" else None)
    clock.forward(3.05)
    assert ready_for([WANTED]) == {WANTED: 0}  # so a client that waits is woken
    assert next_job("p").job is not None
    assert "at_rate" not in {one["code"] for one in why(job.pk)["reasons"]}


@pytest.mark.parametrize("of_pipeline", [False, True])
def test_a_period_that_is_made_longer_counts_what_was_granted_in_the_shorter_one(
    ledger_db: str, clock: Clock, of_pipeline: bool
) -> None:
    """Even if the next claim comes after the shorter period has ended."""
    short, long = {"rate_items_max": 5, "rate_seconds": 10}, {"rate_seconds": 60}
    job = submit("slow", keys(60), pipeline="p", policy={} if of_pipeline else short)
    if of_pipeline:
        edit_pipeline("p", policy=short)
    assert taken() == 5
    if of_pipeline:
        edit_pipeline("p", policy=long)
    else:
        edit(job.pk, policy=long)
    clock.forward(30)
    assert worker.nothing()
    clock.forward(61)
    assert taken() == 5


def test_it_is_edited_while_the_job_runs(ledger_db: str, clock: Clock) -> None:
    job = submit("slow", keys(60), pipeline="p", policy=FIVE)
    assert taken() == 5
    edit(job.pk, policy={"rate_items_max": 8})
    assert taken() == 3
    edit(job.pk, policy={"rate_items_max": 2})
    assert worker.nothing()
    edit(job.pk, policy={"rate_items_max": 9, "rate_seconds": 3_600})
    assert taken() == 1  # the eight of the minute before count as granted now
    clock.forward(3_500)
    assert taken() == 0
    edit(job.pk, policy={"rate_items_max": None})
    assert taken() == 51


def test_a_limit_that_is_new_binds_a_claim_that_does_not_know_it(
    ledger_db: str, clock: Clock
) -> None:
    """It comes from another process, so that the cache of this one is not told."""
    job = submit("slow", keys(30), pipeline="p")
    worker.lease(limit=1)
    policy = Job.ledger.get().policy | FIVE
    advance(job.pk, Job.ledger.get().version, policy=policy)
    first = claim("p", 16).leases
    assert sum(len(lease.items) for lease in first) + taken() == 5


def test_what_comes_back_counts_again(ledger_db: str, clock: Clock) -> None:
    """A call of the function is what the limit is for."""
    submit("slow", keys(3), pipeline="p", policy=FIVE)
    release(worker.lease().token)
    expire(worker.lease(limit=1).token)
    assert len(worker.lease(limit=1).items) == 1
    assert worker.nothing()


def test_other_jobs_are_served_meanwhile(ledger_db: str, clock: Clock) -> None:
    slow = submit("slow", keys(30), pipeline="p", policy=FIVE)
    taken()
    other = submit("other", keys(2), pipeline="p")
    assert worker.lease().job == other.pk
    assert Rate.ledger.values_list("pk", flat=True).get() == slow.pk


def test_a_stage_counts_with_the_others(ledger_db: str, clock: Clock) -> None:
    submit("slow", keys(30), stages=worker.TWO_STAGES, policy=FIVE)
    succeed(worker.lease("p", 3))
    assert len(worker.lease("q", 16).items) == 2
    assert worker.nothing("p")


def test_it_is_removed_with_its_job(ledger_db: str) -> None:
    job = submit("slow", keys(3), pipeline="p", policy=FIVE)
    taken()
    delete(job.pk)
    prune(ANY_AGE)
    assert not Rate.ledger.exists()


def test_many_workers_never_exceed_it_together(ledger_db: str) -> None:
    """By the database's clock, in every period; and they reach it."""
    most, periods = 12, 2
    job = submit(
        "busy", keys(10 * most), pipeline="p", policy={"rate_items_max": most, "rate_seconds": 1}
    )

    def work(seed: int) -> int:
        draw, items = random.Random(seed), 0
        while granted(job) < periods * most:
            for lease in claim("p", draw.randint(1, 5)).leases:
                items += len(lease.items)
        connections.close_all()
        return items

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) >= periods * most
    leases = sorted(Lease.ledger.filter(job_id=job.pk).values_list("claimed_at", "size"))
    for place, (first, _) in enumerate(leases):
        period = [n for at, n in leases[place:] if (at - first).total_seconds() < 1]
        assert sum(period) <= most, leases


def granted(job: Job) -> int:
    return sum(Lease.ledger.filter(job_id=job.pk).values_list("size", flat=True))


@pytest.mark.parametrize(
    "policy",
    [{"rate_items_max": 0}, {"rate_items_max": 1.5}, {"rate_seconds": 0.5}, {"rate_seconds": None}],
)
def test_a_policy_that_can_not_be_is_refused(policy: dict[str, Any]) -> None:
    (name,) = policy
    with pytest.raises(InvalidPolicy, match=name):
        submit("night", [], pipeline="p", policy=policy)
