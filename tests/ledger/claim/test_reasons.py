"""A claim without a lease: why, and when to retry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot.config import limits
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, delete, pause, start
from joblot.ledger.submit.submit import submit
from joblot.states import NoLease
from tests.failures.statements import statements_of
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys


def reason(pipelines: Any = "p", **more: Any) -> str:
    answer = claim(pipelines, **more)
    assert answer.leases == ()
    assert limits().claim_retry_seconds_min <= answer.retry_after_seconds
    assert answer.retry_after_seconds <= limits().claim_retry_seconds_max
    return answer.reason


def test_a_pipeline_that_no_job_has_named_is_unknown(ledger_db: str) -> None:
    submit("one", keys(1), pipeline="q")
    assert reason() == reason([]) == NoLease.UNKNOWN_PIPELINE


@pytest.mark.parametrize("how", ["created", "finished", "revoked", "canceling", "empty"])
def test_nothing_is_queued_where_no_open_item_waits(ledger_db: str, how: str) -> None:
    items = 0 if how == "empty" else 2
    job = submit("two", keys(items), pipeline="p", start=how != "created")
    if how == "finished":
        worker.drain()
    elif how in {"revoked", "canceling"}:
        worker.lease(limit=1)
        cancel(job.pk, grace_seconds=0 if how == "revoked" else 100)
    assert reason() == NoLease.NONE_QUEUED


def test_nothing_is_queued_where_a_job_is_deleted(ledger_db: str) -> None:
    delete(submit("two", keys(2), pipeline="p").pk)
    assert reason() == NoLease.NONE_QUEUED


def test_nothing_is_queued_for_a_later_stage_while_the_first_is_worked(ledger_db: str) -> None:
    submit("two stages", keys(2), stages=TWO_STAGES)
    worker.lease("p")
    assert reason("q") == NoLease.NONE_QUEUED
    assert reason("p") == NoLease.ALL_LEASED


def test_all_is_leased_until_a_lease_ends(
    ledger_db: str, clock: Any, configure: Callable[..., None]
) -> None:
    configure(claim_retry_seconds_max=100)
    for seconds in (60, 80):
        submit("one", keys(1), pipeline="p", policy={"lease_seconds": seconds})
        worker.lease()
    clock.forward(20)
    assert reason() == NoLease.ALL_LEASED
    assert claim("p").retry_after_seconds == pytest.approx(40, abs=0.01)
    clock.forward(200)  # no sweep has run
    assert claim("p").retry_after_seconds == limits().claim_retry_seconds_min


def test_all_is_leased_while_items_wait_for_their_next_try(
    ledger_db: str, clock: Any, configure: Callable[..., None]
) -> None:
    configure(claim_retry_seconds_max=100)
    submit("two", keys(2), pipeline="p", policy={"retry_backoff_seconds": 30})
    fail(worker.lease(), retryable=True)
    assert reason() == NoLease.ALL_LEASED
    assert claim("p").retry_after_seconds == pytest.approx(30, abs=0.01)


def test_a_caller_that_waits_for_long_asks_again_soon_enough(ledger_db: str) -> None:
    submit("one", keys(1), pipeline="p", policy={"lease_seconds": 1_000})
    worker.lease()
    assert claim("p").retry_after_seconds == limits().claim_retry_seconds_max


@pytest.mark.parametrize("leased", [False, True])
def test_what_is_open_is_paused(ledger_db: str, leased: bool) -> None:
    job = submit("two", keys(2), pipeline="p")
    if leased:
        worker.lease()
    pause(job.pk)
    assert reason() == NoLease.PAUSED


def test_a_paused_job_is_no_reason_while_another_is_being_worked(ledger_db: str) -> None:
    pause(submit("paused", keys(2), pipeline="p").pk)
    submit("leased", keys(2), pipeline="p")
    worker.lease()
    assert reason() == NoLease.ALL_LEASED


def test_only_the_job_and_the_projects_asked_for_are_considered(ledger_db: str) -> None:
    held = submit("held", keys(1), pipeline="p", project="a")
    other = submit("other", keys(1), pipeline="p", project="b", start=False)
    worker.lease()
    assert reason(job=held.pk) == reason(projects=["a"]) == NoLease.ALL_LEASED
    assert reason(job=other.pk) == reason(projects=["b"]) == NoLease.NONE_QUEUED
    start(other.pk)
    assert reason(projects=["a"]) == NoLease.ALL_LEASED


def test_a_job_at_its_cap_is_no_reason_while_its_items_are_not_ready(ledger_db: str) -> None:
    submit("one", keys(1), pipeline="p", policy={"in_flight_items_max": 1})
    worker.lease()
    assert reason() == NoLease.ALL_LEASED
    submit("two", keys(2), pipeline="p", policy={"in_flight_items_max": 1})
    worker.lease()
    assert reason() == NoLease.AT_LIMIT


def test_a_claim_that_finds_nothing_asks_twice(ledger_db: str) -> None:
    """Once for ready items, once for the reason why there are none."""
    submit("one", keys(1), pipeline="p")
    worker.lease()
    assert worker.nothing()
    assert len(statements_of(lambda: claim("p"))) == 2
