"""Limits of a pipeline: its rate and its cap hold over all of its jobs and all workers."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from joblot.errors import InvalidInput, InvalidPolicy
from joblot.ledger.claim.after_report import report
from joblot.ledger.claim.availability import next_job, ready_for
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.claim.claim import claim, claim_as
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.job.prune import prune
from joblot.ledger.lease import expire, release
from joblot.ledger.maintain.pipelines import edit_pipeline
from joblot.ledger.read.pipelines import pipelines
from joblot.ledger.read.why import why
from joblot.ledger.submit.submit import submit
from joblot.models import Lease, PipelineLimit
from joblot.wire import Claim, NextClaim, success
from tests.failures.statements import statements_of
from tests.interleave.verbs import ANY_AGE
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import keys, numbers, succeed

FIVE = {"rate_items_max": 5, "rate_seconds": 60}
WANTED = Wanted.of("p", None, None)


def by_claim(limit: int) -> Claim:
    return claim("p", limit)


def by_shared_claim(limit: int) -> Claim:
    return claim_as(NextClaim(["p"], limit), shared=True)


def by_report(limit: int) -> Claim:
    """The claim that comes with the report of another pipeline's item."""
    (lease,) = claim("other", 1).leases
    answer = report(lease.token, [success(lease.items[0].id)], claim_next=NextClaim(["p"], limit))
    assert answer.claim is not None
    return answer.claim


Way = Callable[[int], Claim]
WAYS = pytest.mark.parametrize("way", [by_claim, by_shared_claim, by_report])


@pytest.fixture
def jobs(ledger_db: str) -> list[int]:
    """Two jobs of the pipeline, and one of another."""
    submit("other", keys(50), pipeline="other")
    return [submit(name, keys(30), pipeline="p").pk for name in ("first", "second")]


def size(answer: Claim) -> int:
    return sum(len(lease.items) for lease in answer.leases)


def taken(way: Way = by_claim) -> int:
    """How many items are granted until nothing is."""
    items = 0
    while granted := size(way(2)):
        items += granted
    return items


@WAYS
def test_its_jobs_share_the_rate(jobs: list[int], way: Way, clock: Clock) -> None:
    edit_pipeline("p", policy=FIVE)
    assert [size(way(4)), size(way(4)), size(way(4))] == [4, 1, 0]
    clock.forward(59)
    assert size(way(4)) == 0
    clock.forward(2)
    assert taken(way) == 5


@WAYS
def test_its_jobs_share_the_cap_and_no_claim_exceeds_it(jobs: list[int], way: Way) -> None:
    edit_pipeline("p", policy={"in_flight_items_max": 5})
    (lease,) = way(3).leases
    assert [size(way(16)), size(way(16))] == [2, 0]
    succeed(lease)
    assert taken(way) == 3


@WAYS
def test_the_next_job_is_no_way_around_it(jobs: list[int], way: Way, clock: Clock) -> None:
    edit_pipeline("p", policy=FIVE)
    taken(way)
    submit("urgent", keys(3), pipeline="p", priority=9)
    assert size(way(4)) == 0


def test_its_limit_and_that_of_a_job_both_hold(ledger_db: str, clock: Clock) -> None:
    edit_pipeline("p", policy=FIVE)
    submit("slow", keys(30), pipeline="p", policy={"rate_items_max": 3}, priority=1)
    assert numbers(worker.lease(limit=16)) == [0, 1, 2]
    assert worker.nothing()
    submit("other", keys(30), pipeline="p")
    assert taken() == 2


def test_other_pipelines_are_served_meanwhile(jobs: list[int], clock: Clock) -> None:
    edit_pipeline("p", policy=FIVE)
    assert taken() == 5
    assert len(worker.lease(["other", "p"], 16).items) == 16


def test_a_later_stage_has_the_limit_of_its_own_pipeline(ledger_db: str, clock: Clock) -> None:
    edit_pipeline("q", policy={"in_flight_items_max": 2})
    submit("two stages", keys(30), stages=worker.TWO_STAGES)
    succeed(worker.lease("p", 10))
    held = worker.lease("q", 16)
    assert len(held.items) == 2
    assert worker.nothing("q")
    assert len(worker.lease(["p", "q"], 16).items) == 16
    release(held.token)
    assert len(worker.lease("q", 16).items) == 2


def test_it_is_edited_while_its_jobs_run(jobs: list[int], clock: Clock) -> None:
    edit_pipeline("p", policy=FIVE)
    assert taken() == 5
    edit_pipeline("p", policy={"rate_items_max": 8})
    assert taken() == 3
    edit_pipeline("p", policy={"rate_items_max": 2})
    assert worker.nothing()
    edit_pipeline("p", policy={"rate_items_max": 9, "rate_seconds": 3_600})
    assert taken() == 1  # the eight of the minute before count as granted now
    edit_pipeline("p", policy={"rate_items_max": None, "in_flight_items_max": 20})
    assert taken() == 11
    edit_pipeline("p", policy={"in_flight_items_max": None})
    assert taken() == 40


def test_what_comes_back_counts_again_for_the_rate_only(jobs: list[int], clock: Clock) -> None:
    edit_pipeline("p", policy=FIVE | {"in_flight_items_max": 3})
    release(worker.lease(limit=3).token)
    expire(worker.lease(limit=1).token)
    assert taken() == 1
    assert why(jobs[0])["reasons"][0]["code"] == "pipeline_at_rate"


def test_a_limit_that_is_new_binds_a_claim_that_does_not_know_it(
    jobs: list[int], clock: Clock
) -> None:
    """Another process sets it, so the candidates of this one are not read again."""
    worker.lease(limit=1)
    PipelineLimit.ledger.create(
        pipeline="p", rate_items_max=5, rate_seconds=60, seconds=60, granted=[]
    )
    assert size(claim("p", 16)) + taken() == 5


def test_leases_of_a_job_that_has_ended_do_not_count(jobs: list[int]) -> None:
    edit_pipeline("p", policy={"in_flight_items_max": 5})
    held = worker.lease(limit=5)
    assert worker.nothing()
    cancel(held.job, grace_seconds=0)
    assert taken() == 5


def test_why_and_a_claim_say_when_the_next_one_is_due(jobs: list[int], clock: Clock) -> None:
    edit_pipeline("p", policy=FIVE | {"rate_seconds": 3})
    taken()
    answer = claim("p")
    assert (answer.reason, round(answer.retry_after_seconds, 2)) == ("at_limit", 3.05)
    for job, items in zip(jobs, (25, 30), strict=True):
        (reason,) = (one for one in why(job)["reasons"] if one["code"] == "pipeline_at_rate")
        said = f"{items} items wait: pipeline 'p' gives out at most 5 items in 3 s, over all of"
        assert reason["text"].startswith(said)
        assert reason["until"] == clock.now.replace(microsecond=50_000, second=3).isoformat()
        assert "ready" not in {one["code"] for one in why(job)["reasons"]}
    assert next_job("p").reason == "at_limit"
    until = ready_for([WANTED]).get(WANTED)
    assert until in (None, pytest.approx(3.05))
    clock.forward(3.05)
    assert ready_for([WANTED]) == {WANTED: 0}  # so a client that waits is woken
    assert next_job("p").job is not None
    assert "pipeline_at_rate" not in {one["code"] for one in why(jobs[0])["reasons"]}


def test_why_says_that_the_cap_is_reached(jobs: list[int]) -> None:
    edit_pipeline("p", policy={"in_flight_items_max": 5})
    taken()
    assert claim("p").reason == "at_limit"
    (reason,) = (one for one in why(jobs[1])["reasons"] if one["code"] == "pipeline_at_limit")
    assert reason["text"] == (
        "30 items wait: pipeline 'p' has 5 items in flight, over all of its jobs, and may have no "
        "more (in_flight_items_max)"
    )


def test_one_refusal_answers_for_all_jobs_of_the_pipeline(
    postgres_only: str, clock: Clock, caches_kept: None
) -> None:
    """The claim, the candidates, and why there is no lease."""
    edit_pipeline("p", policy=FIVE)
    for n in range(30):
        submit(f"job {n}", keys(6), pipeline="p")
    claim("p", 3)
    claim("p", 2)  # by the cached candidates
    assert len(statements_of(worker.nothing)) <= 3


def test_the_limits_are_listed_with_what_is_used(jobs: list[int], clock: Clock) -> None:
    assert pipelines() == []
    edit_pipeline("p", policy=FIVE, actor="ana", reason="their API")
    edit_pipeline("gone", policy={"in_flight_items_max": 1})
    edit_pipeline("gone", policy={"in_flight_items_max": None})
    taken()
    (one,) = pipelines()
    assert one == {
        "pipeline": "p",
        "policy": {"in_flight_items_max": None, "rate_items_max": 5, "rate_seconds": 60.0},
        "in_flight": 5,
        "next_at": clock.now.replace(minute=clock.now.minute + 1, second=1).isoformat(),
        "changed_at": clock.now.isoformat(),
        "changed_by": "ana",
        "reason": "their API",
    }


def test_it_outlives_its_jobs(jobs: list[int], clock: Clock) -> None:
    edit_pipeline("p", policy=FIVE)
    taken()
    for job in jobs:
        delete(job)
    prune(ANY_AGE)
    submit("later", keys(3), pipeline="p")
    assert worker.nothing()


def test_many_workers_never_exceed_it_together(ledger_db: str) -> None:
    """By the database's clock, in every period; and they reach it."""
    most, periods = 12, 2
    edit_pipeline("p", policy={"rate_items_max": most, "rate_seconds": 1})
    for name in ("first", "second", "third"):
        submit(name, keys(10 * most), pipeline="p")

    def granted() -> int:
        return sum(Lease.ledger.values_list("size", flat=True))

    def work(seed: int) -> None:
        draw = random.Random(seed)
        while granted() < periods * most:
            claim_as(NextClaim(["p"], draw.randint(1, 5)), shared=draw.random() < 0.5)
        connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    leases = sorted(Lease.ledger.values_list("claimed_at", "size"))
    for place, (first, _) in enumerate(leases):
        period = [n for at, n in leases[place:] if (at - first).total_seconds() < 1]
        assert sum(period) <= most, leases


def test_many_workers_never_exceed_the_cap_together(ledger_db: str) -> None:
    edit_pipeline("p", policy={"in_flight_items_max": 7})
    for name in ("first", "second"):
        submit(name, keys(40), pipeline="p")

    def work(seed: int) -> int:
        draw = random.Random(seed)
        items = sum(size(claim("p", draw.randint(1, 3))) for _ in range(6))
        connections.close_all()
        return items

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 7


@pytest.mark.parametrize(
    "policy",
    [{"rate_items_max": 0}, {"in_flight_items_max": 1.5}, {"rate_seconds": 0.5}, {"priority": 3}],
)
def test_a_limit_that_can_not_be_is_refused(ledger_db: str, policy: dict[str, Any]) -> None:
    (name,) = policy
    with pytest.raises(InvalidPolicy, match=name):
        edit_pipeline("p", policy=policy)
    assert not PipelineLimit.ledger.exists()


def test_so_is_a_name_that_can_not_be(ledger_db: str) -> None:
    with pytest.raises(InvalidInput, match="pipeline"):
        edit_pipeline("", policy=FIVE)
