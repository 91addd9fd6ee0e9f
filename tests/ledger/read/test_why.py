"""Why a job does not proceed: what its open items wait for, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, pause, resume
from joblot.ledger.lease import expire, release, renew
from joblot.ledger.maintain.repair import repair
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.why import why
from joblot.ledger.report.hooks import SettledResult, on_result
from joblot.ledger.rows import workers
from joblot.ledger.submit.submit import add_items, submit
from joblot.models import ItemRange, Job
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import fail, keys, succeed

NEVER = "ready and not claimed yet"
RETURNED = "back from expired leases, and not claimed again yet"
GIVEN_BACK = "given back, or queued by a repair or an import, and not claimed since"
FAILED = "ready for their next try, after a failure"


def reasons(job: Job, **more: Any) -> dict[str, dict[str, Any]]:
    return {one["code"]: one for one in why(job.pk, **more)["reasons"]}


def texts(job: Job, **more: Any) -> list[str]:
    return [one["text"] for one in why(job.pk, **more)["reasons"]]


def ready(job: Job) -> dict[str, int]:
    shown = [one for one in why(job.pk)["reasons"] if one["code"] == "ready"]
    return {one["text"].split(maxsplit=3)[3]: one["count"] for one in shown}


@pytest.fixture
def served(ledger_db: str) -> None:
    """A worker has just asked for the pipeline `p`."""
    claim("p")


def test_items_that_were_never_claimed_are_distinguished_from_those_that_came_back(
    served: None,
) -> None:
    job = submit("why", keys(10), pipeline="p")
    assert ready(job) == {NEVER: 10}
    lease, kept, lost = (worker.lease(limit=n) for n in (2, 1, 3))
    assert ready(job) == {NEVER: 4}
    release(lease.token)
    expire(lost.token)
    assert ready(job) == {NEVER: 4, GIVEN_BACK: 2, RETURNED: 3}
    succeed(kept)
    assert ready(job) == {NEVER: 4, GIVEN_BACK: 2, RETURNED: 3}


def test_items_that_failed_are_ready_for_their_next_try(served: None) -> None:
    policy = {"retry_backoff_seconds": 0, "failures_max": 3}
    job = submit("why", keys(3), pipeline="p", policy=policy)
    fail(worker.lease(limit=2), retryable=True)
    assert ready(job) == {NEVER: 1, FAILED: 2}


def test_an_item_that_came_back_twice_is_counted_among_those_that_came_back(served: None) -> None:
    job = submit("why", keys(1), pipeline="p")
    for _ in range(2):
        expire(worker.lease().token)
    assert ready(job) == {RETURNED: 1}
    alone = reasons(job)["suspect"]
    assert alone["count"] == 1
    assert alone["text"] == "1 item has come back more than once, and will be leased one at a time"


# Workers


def test_items_are_with_one_worker_or_being_worked_on_by_several(
    ledger_db: str, clock: Clock
) -> None:
    job = submit("why", keys(2), pipeline="p")
    worker.lease(limit=1, worker="gpu-7")
    assert texts(job)[0] == "1 item is with gpu-7 until 00:05 UTC"
    worker.lease(limit=1, worker="gpu-8")
    assert texts(job) == ["2 items are being worked on by 2 workers until 00:05 UTC"]
    assert reasons(job)["in_flight"]["link"] == "workers"


def test_workers_that_are_silent_are_not_said_to_work(ledger_db: str, clock: Clock) -> None:
    job = submit("why", keys(43), pipeline="p", policy={"lease_seconds": 90})
    one, other = worker.lease(limit=20, worker="gpu-1"), worker.lease(limit=23, worker="gpu-2")
    clock.forward(60)
    assert texts(job) == ["43 items are being worked on by 2 workers until 00:01:30 UTC"]
    clock.forward(5)
    assert texts(job) == [
        (
            "43 items are leased by 2 workers last heard from 65 s ago; the leases expire at "
            "00:01:30 UTC"
        )
    ]
    renew(other.token)
    assert texts(job) == [
        "20 items are leased by gpu-1, last heard from 65 s ago; the lease expires at 00:01:30 UTC",
        "23 items are with gpu-2 until 00:02:35 UTC",
    ]
    silent = reasons(job)["silent"]
    assert (silent["since"], silent["until"]) == (
        "2030-01-01T00:00:00+00:00",
        "2030-01-01T00:01:30+00:00",
    )
    assert one.token != other.token


def test_a_request_of_a_worker_is_a_sign_of_life(ledger_db: str, clock: Clock) -> None:
    job = submit("why", keys(1), pipeline="p", policy={"lease_seconds": 90})
    worker.lease(worker="gpu-1", owner=3)
    clock.forward(65)
    assert "silent" in reasons(job)
    workers.forget()
    workers.seen(3, "gpu-1")
    assert texts(job) == ["1 item is with gpu-1 until 00:01:30 UTC"]


def test_leases_that_nobody_expires_are_named(ledger_db: str, clock: Clock) -> None:
    job = submit("why", keys(20), pipeline="p", policy={"lease_seconds": 60})
    worker.lease(limit=4)
    worker.lease(limit=16)
    clock.forward(89)
    assert "overdue" not in reasons(job)
    clock.forward(2)
    (text,) = texts(job)
    assert text == (
        "20 items are held by 2 leases that expired, the first at 00:01:00 UTC, and nothing "
        "returns them to the queue: run `joblot serve`, or `joblot sweep --forever`"
    )
    assert reasons(job)["overdue"]["act"] == "sweep"
    sweep()
    assert "overdue" not in reasons(job)


def test_an_item_that_kills_its_workers_is_named(served: None) -> None:
    job = submit("why", ["good", "poison"], pipeline="p")
    for name in ("gpu-1", "gpu-2", "gpu-1", "gpu-3"):
        good, *bad = (worker.lease(limit=1, worker=name) for _ in range(2))
        if good.items[0].key == "poison":
            good, bad = bad[0], [good]
        release(good.token)
        expire(bad[0].token)
    kills = reasons(job)["kills"]
    assert kills["text"] == (
        "3 leases of item 1 ('poison') alone expired, on gpu-1, gpu-2, gpu-3: it may kill its "
        "workers, and is lost after 5"
    )
    assert kills["link"] == "items/1"
    worker.lease("p", limit=1)
    worker.lease("p", limit=1)
    assert reasons(job)["kills"]["text"] == kills["text"]  # also while it is leased


# Damage


def test_items_that_are_neither_queued_nor_leased_are_named(served: None) -> None:
    job = submit("why", keys(10), pipeline="p", policy={"lease_seconds": 3600})
    succeed(worker.lease(limit=3))
    worker.lease(limit=3)
    ItemRange.ledger.filter(job_id=job.pk).delete()
    missing = reasons(job)["missing"]
    assert missing["text"] == (
        "4 items are neither queued nor leased in stage 'p', so no worker can get them: run "
        f"`joblot audit {job.pk} --repair`"
    )
    assert (missing["count"], missing["act"]) == (4, "repair")
    assert why(job.pk)["reasons"][0] == missing
    repair(job.pk)
    assert "missing" not in reasons(job)


def test_an_item_settled_through_an_expired_lease_is_not_missing(served: None) -> None:
    job = submit("why", keys(4), pipeline="p")
    lease = worker.lease(limit=2)
    expire(lease.token)
    succeed(lease, 0)
    worker.lease(limit=1)
    assert "missing" not in reasons(job)


# Hooks


def test_results_that_a_hook_defers_are_named_with_the_cause(served: None, clock: Clock) -> None:
    @on_result("p")
    def save(results: Sequence[SettledResult]) -> None:
        raise KeyError("x")

    job = submit("why", keys(12), pipeline="p")
    lease = worker.lease(worker="gpu-1")
    clock.forward(60)
    succeed(lease)
    clock.forward(180)
    succeed(lease, 0)
    clock.forward(200)
    renew(lease.token)
    assert texts(job) == [
        (
            "12 results were deferred because on_result('p') raised KeyError: 'x', since "
            "00:01 UTC, last at 00:04 UTC"
        ),
        "12 items are with gpu-1 until 00:12 UTC",
    ]
    assert reasons(job)["deferred"]["since"] == "2030-01-01T00:01:00+00:00"
    on_result("p")(lambda results: None)
    succeed(lease)
    assert list(reasons(job)) == ["ended"]


# The job


def test_a_job_says_how_it_ended_and_why_so(served: None, clock: Clock) -> None:
    good = submit("good", keys(2), pipeline="p")
    succeed(worker.lease())
    assert texts(good) == ["run 1 ended as 'Succeeded' at 00:00:00 UTC: 2 of 2 items succeeded"]
    bad = submit("bad", keys(4), pipeline="p")
    lease = worker.lease()
    fail(lease, 1, 2, 3)
    succeed(lease, 0)
    clock.forward(86_400)
    assert texts(bad) == [
        (
            "run 1 ended as 'Failed' at 2030-01-01 00:00 UTC: 1 of 4 items succeeded, and more "
            "than 50 % did not (failure_threshold)"
        )
    ]
    assert reasons(bad)["ended"]["act"] == "retry"
    assert reasons(bad)["ended"]["link"] == "items?state=failed"


def test_a_canceled_job_says_until_when_and_then_that_it_was(served: None, clock: Clock) -> None:
    job = submit("why", keys(5), pipeline="p")
    worker.lease(limit=2, worker="gpu-1")
    cancel(job.pk, grace_seconds=30)
    assert reasons(job)["canceling"]["text"] == (
        "the job is being canceled; 2 items in flight may be reported until 00:00:30 UTC"
    )
    clock.forward(31)
    sweep()
    assert texts(job) == [
        (
            "run 1 ended as 'Canceled' at 00:00:31 UTC: 0 of 5 items succeeded, and the job was "
            "canceled"
        )
    ]


def test_a_paused_job_says_since_when(served: None, clock: Clock) -> None:
    job = submit("why", keys(5), pipeline="p")
    pause(job.pk)
    clock.forward(600)
    assert texts(job) == ["the job was paused at 00:00 UTC; 5 items wait until it is resumed"]
    assert reasons(job)["paused"]["act"] == "resume"
    resume(job.pk)
    assert "paused" not in reasons(job)


def test_an_open_job_says_when_items_were_added_last(served: None, clock: Clock) -> None:
    job = submit("why", keys(5), pipeline="p", seal=False, start=False)
    clock.forward(600)
    add_items(job.pk, keys(7))
    started, still_open = why(job.pk)["reasons"]
    assert started["text"] == "the job was not started; 7 items wait for that"
    assert started["act"] == "start"
    assert still_open["text"].startswith(
        "the job still takes items (it has 7 items, the last at 00:10:00 UTC): continue its"
    )
    assert still_open["act"] == "seal"


def test_items_that_failed_say_until_when_they_wait(served: None, clock: Clock) -> None:
    policy = {"retry_backoff_seconds": 300}
    job = submit("why", keys(3), pipeline="p", policy=policy)
    fail(worker.lease(limit=2), retryable=True)
    backing_off = reasons(job)["backing_off"]
    assert backing_off["text"] == "2 items failed and wait for the next try until 00:05 UTC"
    clock.forward(60)
    fail(worker.lease(), retryable=True)
    assert reasons(job)["backing_off"]["text"] == (
        "3 items failed and wait for the next try, the first until 00:05 UTC, the last until "
        "00:06 UTC"
    )


def test_the_worst_six_come_first_and_the_rest_is_counted(
    caches_kept: None, served: None, clock: Clock
) -> None:
    policy = {"retry_backoff_seconds": 300, "lease_seconds": 60}
    job = submit("why", keys(30), pipeline="p", policy=policy, seal=False)
    worker.lease(limit=2)
    clock.forward(95)
    claim("q")
    lease = worker.lease(limit=5, worker="gpu-1")
    fail(lease, *(item.id for item in lease.items[:1]), retryable=True)
    for _ in range(2):
        expire(worker.lease(limit=2, worker="gpu-2").token)
    alone = worker.lease(limit=1)
    expire(alone.token)
    found = [one["code"] for one in why(job.pk)["reasons"]]
    assert found == ["overdue", "kills", "in_flight", "ready", "ready", "backing_off", "more"]
    assert texts(job)[-1] == "and 2 more"
