"""Settling results: conflicts, budgets, stages, metrics, amendments."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.test.utils import CaptureQueriesContext

from joblot.canonical import result_hash
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.lease import expire
from joblot.ledger.read.audit import audit
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import ItemRange, Outcome, Uncounted
from joblot.models import Lease as LeaseRow
from joblot.states import LeaseState
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, metrics, receipts, status, succeed


def test_a_conflicting_result_is_kept_once_for_each_different_output(ledger_db: str) -> None:
    job = submit("one", keys(1), pipeline="p")
    lease = worker.lease()
    assert succeed(lease, output="first") == ["counted"]
    for output in ("second", "third", "second"):
        assert succeed(lease, output=output) == ["conflicting"]
    kept = Uncounted.objects.filter(job_id=job.pk, receipt="conflicting")
    assert sorted(kept.values_list("output", flat=True)) == ["second", "third"]
    assert items(job.pk)[0]["outcomes"][0]["output"] == "first"


def test_the_first_success_wins_whichever_worker_held_the_item(ledger_db: str) -> None:
    job = submit("one", keys(1), pipeline="p")
    stale = worker.lease()
    expire(stale.token)
    fresh = worker.lease()
    assert succeed(stale, output="late but good") == ["counted"]
    assert status(job) == "SUCCESS"
    assert succeed(fresh, output="late but good") == ["duplicate"]
    assert succeed(fresh, output="other") == ["conflicting"]
    assert fail(fresh) == ["superseded"]


def test_a_stale_failure_does_not_fail_an_item_that_is_worked_again(ledger_db: str) -> None:
    job = submit("one", keys(1), pipeline="p")
    stale = worker.lease()
    expire(stale.token)
    fresh = worker.lease()
    assert fail(stale) == ["superseded"]
    assert fail(stale, retryable=True) == ["superseded"]
    assert succeed(fresh) == ["counted"]
    assert status(job) == "SUCCESS"


def test_a_requeued_item_waits_longer_with_each_failure_until_its_budget_is_used(
    ledger_db: str, clock: Any
) -> None:
    policy = {"failures_max": 3, "retry_backoff_seconds": 10}
    job = submit("one", keys(1), pipeline="p", policy=policy)
    for attempt, wait in ((1, 10), (2, 20)):
        lease = worker.lease()
        assert lease.items[0].attempt == attempt
        assert fail(lease, retryable=True) == ["requeued"]
        clock.forward(wait - 1)
        assert worker.nothing()
        clock.forward(1)
    last = worker.lease()
    assert last.items[0].attempt == 3
    assert fail(last, retryable=True) == ["counted"]
    assert counts(job) == {"failed": 1}
    assert status(job) == "FAILURE"
    assert [a["cause"] for a in items(job.pk)[0]["attempts"]] == ["failed", "failed"]


def test_the_wait_after_a_failure_has_a_maximum(ledger_db: str, clock: Any) -> None:
    policy = {
        "failures_max": 9,
        "retry_backoff_seconds": 10,
        "retry_backoff_seconds_max": 15,
    }
    submit("one", keys(1), pipeline="p", policy=policy)
    for _ in range(4):
        assert fail(worker.lease(), retryable=True) == ["requeued"]
        clock.forward(15)


def test_a_lease_remembers_what_it_gave_back(ledger_db: str) -> None:
    policy = {"retry_backoff_seconds": 0}
    job = submit("two", keys(2), pipeline="p", policy=policy)
    first = worker.lease()
    assert fail(first, 0, retryable=True) == ["requeued"]
    assert fail(first, 0, retryable=True) == ["duplicate"]
    assert fail(first, 0) == ["duplicate"]  # it gave the item back, so it can't fail it any more
    assert progress(job.pk)["stages"][0]["in_flight"] == 1
    second = worker.lease()
    assert worker.numbers(second) == [0]
    assert fail(first, 0) == ["duplicate"]
    assert succeed(second) == ["counted"]
    assert succeed(first, 1) == ["counted"]
    assert counts(job) == {"succeeded": 2}


def test_the_budget_of_failures_is_of_a_stage(ledger_db: str) -> None:
    policy = {"failures_max": 2, "retry_backoff_seconds": 0}
    job = submit("two stages", keys(1), stages=TWO_STAGES, policy=policy)
    assert fail(worker.lease("p"), retryable=True) == ["requeued"]
    assert succeed(worker.lease("p")) == ["counted"]
    assert fail(worker.lease("q"), retryable=True) == ["requeued"]
    assert succeed(worker.lease("q")) == ["counted"]
    assert status(job) == "SUCCESS"


def test_the_output_of_a_stage_is_the_input_of_the_next_and_failures_skip(ledger_db: str) -> None:
    stages = [{"name": f"s{n}", "pipeline": f"p{n}"} for n in range(3)]
    job = submit("three stages", keys(4), stages=stages)
    lease = worker.lease("p0")
    assert [item.input for item in lease.items] == [None] * 4
    receipts(lease, failure(0, "Bad"), *(success(n, {"from": n}) for n in (1, 2, 3)))
    lease = worker.lease("p1")
    assert [(item.id, item.input) for item in lease.items] == [
        (1, {"from": 1}),
        (2, {"from": 2}),
        (3, {"from": 3}),
    ]
    receipts(lease, failure(1, "Bad"), success(2, "two"), success(3, None))
    lease = worker.lease("p2")
    assert [(item.id, item.input) for item in lease.items] == [(2, "two"), (3, None)]
    succeed(lease)
    assert [counts(job, n) for n in range(3)] == [
        {"succeeded": 3, "failed": 1},
        {"succeeded": 2, "failed": 1, "skipped": 1},
        {"succeeded": 2, "skipped": 2},
    ]
    assert status(job) == "COMPLETED_WITH_ERRORS"


def test_metrics_are_summed_exactly_over_what_is_counted(ledger_db: str) -> None:
    job = submit("sums", keys(4), pipeline="p")
    lease = worker.lease()
    large = 2**43
    results = [
        success(0, metrics={"bytes": large, "cats": 1}),
        success(1, metrics={"bytes": large}),
        success(2, metrics={"bytes": -1, "none": 0}),
        failure(3, "Bad"),
    ]
    receipts(lease, *results)
    receipts(lease, *results)
    receipts(lease, success(1, "conflict", metrics={"bytes": 5}))
    assert metrics(job) == {"bytes": 2 * large - 1, "cats": 1} | (
        {"none": 0} if "none" in metrics(job) else {}
    )
    assert receipts(lease, success(3, metrics={"bytes": 1, "dogs": 7})) == ["amended"]
    assert metrics(job)["bytes"] == 2 * large
    assert metrics(job)["dogs"] == 7


def test_amending_one_item_leaves_the_others_of_the_lease_in_flight(
    ledger_db: str, clock: Any
) -> None:
    """An amended item was credited to its lease earlier; the lease still holds the other."""
    job = submit("two", keys(2), pipeline="p")
    lease = worker.lease()
    assert fail(lease, 0) == ["counted"]
    assert succeed(lease, 0) == ["amended"]
    assert progress(job.pk)["stages"][0]["in_flight"] == 1
    assert LeaseRow.objects.get(pk=lease.token).state == LeaseState.LIVE


def test_a_repeat_after_another_lease_has_amended_takes_nothing_from_the_lease(
    ledger_db: str,
) -> None:
    policy = {"retry_backoff_seconds": 0}
    submit("two", keys(2), pipeline="p", policy=policy)
    first = worker.lease()
    fail(first, retryable=True)
    second = worker.lease()
    assert worker.numbers(second) == [0, 1]
    assert fail(second, 0) == ["counted"]
    assert succeed(first, 0) == ["amended"]
    assert succeed(second, 0) == ["duplicate"]
    assert LeaseRow.objects.get(pk=second.token).open == 1


def test_a_failed_item_keeps_its_cause_and_no_output(ledger_db: str) -> None:
    job = submit("one", keys(1), pipeline="p")
    receipts(worker.lease(), failure(0, "ValueError", "too dark"))
    (outcome,) = Outcome.objects.filter(job_id=job.pk)
    assert (outcome.error_type, outcome.error_message) == ("ValueError", "too dark")
    assert (outcome.output, outcome.output_ref, outcome.hash) == (None, None, None)


def test_each_result_of_a_report_keeps_what_it_has_in_any_order(ledger_db: str) -> None:
    job = submit("five", keys(5), pipeline="p")
    given = [
        failure(3, "ValueError", "too dark", traceback="at line 1"),
        success(1, {"label": "ä"}),
        success(4, metrics={"bytes": 4}),
        success(0),
        success(2, "two", {"bytes": 2}),
    ]
    assert receipts(worker.lease(), *given) == ["counted"] * 5
    columns = ("output", "metrics", "error_type", "error_message", "error_traceback")
    rows = Outcome.objects.filter(job_id=job.pk).order_by("number").values_list(*columns)
    assert list(rows) == [
        (None, None, None, None, None),
        ({"label": "ä"}, None, None, None, None),
        ("two", {"bytes": 2}, None, None, None),
        (None, None, "ValueError", "too dark", "at line 1"),
        (None, {"bytes": 4}, None, None, None),
    ]
    hashes = Outcome.objects.filter(job_id=job.pk).order_by("number").values_list("hash", flat=True)
    outputs = ("null", '{"label":"ä"}', '"two"', None, "null")
    assert [one and bytes(one) for one in hashes] == [one and result_hash(one) for one in outputs]
    assert counts(job) == {"succeeded": 4, "failed": 1}
    assert metrics(job) == {"bytes": 6}


def test_what_is_new_in_a_report_counts_beside_what_is_settled(
    ledger_db: str, caches_kept: None
) -> None:
    job = submit("four", keys(4), stages=TWO_STAGES)
    stale = worker.lease("p", 3)
    assert succeed(stale, 1) == ["counted"]
    expire(stale.token)
    fresh = worker.lease("p", 1)
    assert succeed(fresh, 0) == ["counted"]
    results = [success(0), success(1), success(2), success(3)]
    assert receipts(stale, *results) == ["duplicate", "duplicate", "counted", "rejected"]
    assert counts(job) == {"succeeded": 3}
    assert worker.numbers(worker.lease("q")) == [0, 1, 2]


def test_settled_items_are_in_no_range_that_is_served(ledger_db: str) -> None:
    """An item that was given back and then reported after all is not worked a second time."""
    policy = {"retry_backoff_seconds": 0}
    submit("four", keys(4), pipeline="p", policy=policy)
    lease = worker.lease()
    fail(lease, retryable=True)
    assert succeed(lease, 1, 2) == ["counted", "counted"]
    assert worker.numbers(worker.lease()) == [0, 3]
    assert worker.nothing()
    assert not ItemRange.objects.exists()


def test_an_amendment_of_a_running_job_corrects_the_counts_and_ends_nothing(
    ledger_db: str,
) -> None:
    job = submit("two", keys(2), pipeline="p")
    lease = worker.lease()
    fail(lease, 0)
    assert succeed(lease, 0) == ["amended"]
    assert counts(job) == {"succeeded": 1}
    assert worker.kinds(job) == ["started", "claimed"]
    succeed(lease, 1)
    assert status(job) == "SUCCESS"
    assert worker.revision(job) == 1
    assert audit(job.pk)["ok"]


def test_many_results_are_written_by_as_many_statements_as_few(ledger_db: str) -> None:
    """Amended, requeued, conflicting and late ones alike."""

    def statements(of_a_kind: int) -> tuple[int, int]:
        job = submit("many", keys(4 * of_a_kind), pipeline="p", policy={"failures_max": 9})
        lease = worker.lease(limit=4 * of_a_kind)
        amended, requeued, conflicting, late = (
            range(kind * of_a_kind, (kind + 1) * of_a_kind) for kind in range(4)
        )
        fail(lease, *amended)
        succeed(lease, *conflicting, output="first")
        results = [
            *(success(n) for n in amended),
            *(failure(n, "Busy", retryable=True) for n in requeued),
            *(success(n, "second") for n in conflicting),
        ]
        with CaptureQueriesContext(connections[ledger_db]) as mixed:
            told = receipts(lease, *results)
        kinds = ("amended", "requeued", "conflicting")
        assert told == [one for one in kinds for _ in range(of_a_kind)]
        cancel(job.pk, grace_seconds=0)
        with CaptureQueriesContext(connections[ledger_db]) as after_the_end:
            assert succeed(lease, *late) == ["late"] * of_a_kind
        return len(mixed), len(after_the_end)

    assert statements(2) == statements(12)
