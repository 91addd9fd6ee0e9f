"""Everything about one item: where it stands, its tries with their receipts, its neighbors."""

from __future__ import annotations

import pytest

from joblot.errors import NotFound
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.read.item import item
from joblot.ledger.read.overview import item_overview
from joblot.ledger.read.runs import runs
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import submit
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, receipts, succeed


def states(job_id: int, number: int) -> list[str]:
    return [stage["state"] for stage in item(job_id, number)["stages"]]


def test_it_stands_somewhere_in_each_stage(ledger_db: str) -> None:
    job = submit("x", keys(6), stages=TWO_STAGES, policy={"retry_backoff_seconds": 1_000}).pk
    lease = worker.lease("p", 4, worker="gpu-7")
    succeed(lease, 0)
    fail(lease, 1)
    fail(lease, 2, retryable=True)
    assert states(job, 0) == ["succeeded", "ready"]
    assert states(job, 1) == ["failed", "skipped"]
    assert states(job, 2) == ["waiting", "not_reached"]
    assert states(job, 3) == ["in_flight", "not_reached"]
    assert states(job, 4) == ["ready", "not_reached"]
    assert item(job, 3)["stages"][0]["worker"] == "gpu-7"
    assert item(job, 3)["stages"][0]["until"] == lease.expires_at
    assert item(job, 3)["stages"][0]["since"] < lease.expires_at
    cancel(job, grace_seconds=0)
    succeed(lease, 2)
    assert states(job, 2) == ["finished_after_cancel", "cancelled_before_start"]
    assert states(job, 3) == ["cancelled_in_flight", "cancelled_before_start"]
    assert states(job, 4) == ["cancelled_before_start", "cancelled_before_start"]


def test_its_tries_have_worker_times_receipt_and_error(ledger_db: str) -> None:
    job = submit("x", keys(1), pipeline="p", policy={"retry_backoff_seconds": 0}).pk
    first = worker.lease("p", worker="gpu-1")
    receipts(first, failure(0, "Timeout", "slow", retryable=True))
    second = worker.lease("p", worker="gpu-2")
    receipts(second, failure(0, "Bad", "broken"))
    retry(job)
    third = worker.lease("p", worker="gpu-3")
    expire(third.token)
    receipts(worker.lease("p", worker="gpu-4"), success(0, {"size": 3}))
    found = item(job, 0)
    tries = found["tries"]
    shown = [(one["run"], one["worker"], one["outcome"], one["receipt"]) for one in tries]
    assert shown == [
        (1, "gpu-1", "failed", "requeued"),
        (1, "", "failed", "counted"),
        (2, "gpu-3", "expired", None),
        (2, "gpu-4", "succeeded", "counted"),
    ]
    assert [one["reason"] for one in tries] == [
        "a failure within the item's budget: it is tried again",
        "it settled the item, and a retry opened it again",
        "nothing was reported before the lease expired",
        "it settled the item",
    ]
    assert (tries[0]["error"]["type"], tries[0]["error"]["message"]) == ("Timeout", "slow")
    assert all(
        one["leased_at"] <= one["reported_at"] for one in tries if one["leased_at"] is not None
    )
    assert tries[3]["leased_at"] is not None
    assert found["outcomes"][0]["output"] == {"size": 3}


@pytest.mark.parametrize("was", ["failed", "lost"])
def test_a_success_in_place_of_a_failure_is_an_amendment_before_the_end_too(
    ledger_db: str, was: str
) -> None:
    """As its worker was told."""
    policy = {"expiries_max": 1}
    job = submit("x", keys(1), pipeline="p", policy=policy, seal=False).pk
    lease = worker.lease("p", worker="gpu-1")
    if was == "failed":
        fail(lease)
    else:
        expire(lease.token)
        expire(worker.lease("p").token)
    assert item(job, 0)["state"] == was
    assert receipts(lease, success(0)) == ["amended"]
    (one,) = [one for one in item(job, 0)["tries"] if one["outcome"] == "succeeded"]
    assert (one["receipt"], item(job, 0)["outcomes"][0]["amends"]) == ("amended", was)
    assert one["reason"].endswith("and now it has succeeded")


def test_a_success_after_the_end_of_its_run_is_an_amendment(ledger_db: str) -> None:
    job = submit("x", keys(2), pipeline="p").pk
    lease = worker.lease("p", worker="gpu-1")
    fail(lease, 0, 1)
    assert receipts(lease, success(0)) == ["amended"]
    (one,) = item(job, 0)["tries"]
    assert (one["outcome"], one["receipt"]) == ("succeeded", "amended")
    (other,) = item(job, 1)["tries"]
    assert (other["outcome"], other["receipt"]) == ("failed", "counted")


def test_an_item_is_shown_with_its_own_log_and_its_neighbors(ledger_db: str) -> None:
    job = submit("x", keys(60), pipeline="p").pk
    fail(worker.lease("p", limit=30), 11, 29)
    log(job, "slow", number=11)
    log(job, "of another", number=12)
    found = item_overview(job, 11)
    assert [line["message"] for line in found["logs"]] == ["slow"]
    assert found["item"]["state"] == "failed"
    shown = found["picture"]
    assert (shown.first, len(shown.cells)) == (0, 32)
    assert [n for n, code in enumerate(shown.cells) if shown.meanings[code] == "failed"] == [11, 29]


def test_results_that_do_not_count_are_shown(ledger_db: str) -> None:
    job = submit("x", keys(2), pipeline="p").pk
    lease = worker.lease("p", worker="gpu-1")
    receipts(lease, success(0, "one"))
    receipts(lease, success(0, "two"))
    cancel(job, grace_seconds=0)
    receipts(lease, success(1, "late"))
    (other,) = item(job, 0)["uncounted"]
    assert (other["receipt"], other["output"], other["worker"]) == ("conflicting", "two", "gpu-1")
    assert other["reason"] == "the item had succeeded with another output, which stays"
    (late,) = item(job, 1)["uncounted"]
    assert (late["receipt"], late["output"]) == ("late", "late")


def test_the_nearest_failures_are_named(ledger_db: str) -> None:
    job = submit("x", keys(9), pipeline="p").pk
    lease = worker.lease("p")
    fail(lease, 1, 4, 7)
    neighbors = {
        number: (found["previous_failed"], found["next_failed"])
        for number in range(9)
        if (found := item(job, number))
    }
    assert neighbors[0] == (None, 1)
    assert neighbors[4] == (1, 7)
    assert neighbors[5] == (4, 7)
    assert neighbors[8] == (7, None)
    succeed(lease, 0, 2, 3, 5, 6, 8)


def test_a_number_that_the_job_lacks_is_refused(ledger_db: str) -> None:
    job = submit("x", keys(3), pipeline="p").pk
    with pytest.raises(NotFound, match=f"job {job} has no item 3; its items are 0 to 2"):
        item(job, 3)
    with pytest.raises(NotFound):
        item(job + 1, 0)


def test_runs_and_revisions_say_what_they_changed(ledger_db: str) -> None:
    job = submit("x", keys(4), pipeline="p").pk
    assert [(one["run"], one["revision"], one["status"]) for one in runs(job)] == [
        (1, 0, "PENDING")
    ]
    lease = worker.lease("p")
    succeed(lease, 0, 1)
    fail(lease, 2, 3)
    receipts(lease, success(3))
    retry(job)
    worker.lease("p")
    found = runs(job)
    shown = [(one["run"], one["revision"], one["status"]) for one in found]
    assert shown == [
        (2, 0, "STARTED"),
        (1, 2, "COMPLETED_WITH_ERRORS"),
        (1, 1, "COMPLETED_WITH_ERRORS"),
    ]
    assert found[1]["stages"][0]["changes"] == {"succeeded": [2, 3], "failed": [2, 1]}
    assert found[2]["stages"][0]["changes"] == {}
    assert found[2]["stages"][0]["failed"] == 2
    assert found[2]["started_at"] is not None
