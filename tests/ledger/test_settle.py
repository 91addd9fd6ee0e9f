"""Report: every cell of the receipt table by real reports, and what each receipt leaves behind."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from django.db import transaction

from joblot.config import limits
from joblot.errors import InvalidResult, NotDurable
from joblot.ledger.audit import audit
from joblot.ledger.items import items
from joblot.ledger.leases import expire
from joblot.ledger.lifecycle import cancel
from joblot.ledger.progress import progress
from joblot.ledger.settle import report
from joblot.ledger.submit import submit
from joblot.models import ItemRange, Outcome, Uncounted
from joblot.models import Lease as LeaseRow
from joblot.states import RECEIPTS, LeaseState, Receipt, Report, Standing, receipt_for
from joblot.wire import Lease, Result, failure, success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, metrics, receipts, status, succeed

# A spent lease holds nothing open, so what it was granted is settled or given back.
UNREACHABLE = {(LeaseState.SPENT, Standing.OPEN)}
CELLS = [cell for cell in product(LeaseState, Standing, Report) if cell[:2] not in UNREACHABLE]


def arrange(standing: Standing, state: LeaseState, job_id: int) -> Lease:
    """A lease in `state` that was granted items 0 and 1, item 0 standing so."""
    lease = worker.lease(limit=2)
    assert worker.numbers(lease) == [0, 1]
    if standing in (Standing.SAME, Standing.OTHER):
        succeed(lease, 0, output="a" if standing is Standing.SAME else "another")
    if standing is Standing.FAILED:
        fail(lease, 0)
    if standing in (Standing.RETURNED, Standing.LOST):
        fail(lease, 0, retryable=True)
    if standing is Standing.LOST:
        for _ in range(2):  # the first expiry costs nothing
            expire(worker.lease().token)
    if state is LeaseState.SPENT:
        succeed(lease, 1)
    if state is LeaseState.EXPIRED:
        expire(lease.token)
    if state is LeaseState.CLOSED:
        cancel(job_id, grace_seconds=0)
    assert LeaseRow.objects.get(pk=lease.token).state == state
    return lease


RESULTS = {
    Report.SUCCESS: success(0, "a"),
    Report.FINAL_FAILURE: failure(0, "Bad"),
    Report.RETRYABLE_FAILURE: failure(0, "Bad", retryable=True),
}


@pytest.mark.parametrize(("state", "standing", "given"), CELLS)
def test_each_cell_of_the_receipt_table(
    ledger_db: str, state: LeaseState, standing: Standing, given: Report
) -> None:
    policy = {"expiries_max": 1, "retry_backoff_seconds": 0}
    job = submit("cells", keys(2), pipeline="p", policy=policy)
    lease = arrange(standing, state, job.pk)
    before = counts(job)
    receipt = RECEIPTS[state, standing, given]
    assert receipts(lease, RESULTS[given]) == [receipt]
    moved = receipt in (Receipt.COUNTED, Receipt.AMENDED)
    assert (counts(job) != before) is moved
    # Posting again is always safe.
    again = Receipt.DUPLICATE if moved or receipt is Receipt.REQUEUED else receipt
    after = counts(job)
    assert receipts(lease, RESULTS[given]) == [again]
    assert counts(job) == after


@pytest.mark.parametrize("state", [LeaseState.LIVE, LeaseState.SPENT, LeaseState.EXPIRED])
@pytest.mark.parametrize("standing", [Standing.FAILED, Standing.LOST])
def test_before_the_last_stage_a_success_for_what_was_given_up_is_late(
    ledger_db: str, state: LeaseState, standing: Standing
) -> None:
    policy = {"expiries_max": 1, "retry_backoff_seconds": 0}
    job = submit("cells", keys(2), stages=TWO_STAGES, policy=policy)
    lease = arrange(standing, state, job.pk)
    assert receipt_for(state, standing, Report.SUCCESS, last_stage=False) is Receipt.LATE
    (answer,) = report(lease.token, [success(0, "a")])
    assert answer.receipt is Receipt.LATE
    assert "given up in this stage" in answer.reason
    assert counts(job, 1) == {"skipped": 1}
    assert progress(job.pk)["finished_after_cancel"] == 1


def test_receipts_come_in_the_order_of_the_results_and_bad_ones_harm_no_other(
    ledger_db: str,
) -> None:
    job = submit("mixed", keys(5), pipeline="p")
    lease = worker.lease()
    results: list[Any] = [
        success(3),
        {"item": 2, "outcome": "succeeded", "output": float("nan")},
        {"item": 4, "outcome": "perhaps"},
        success(99),
        failure(1, "Later", retryable=True),
        success(3),
        {"item": 0, "outcome": "failed", "error": {"type": "Bad"}},
        success(4, "text with \x00"),
        success(2, metrics={"bytes": 1.5}),  # type: ignore[dict-item]
        "nonsense",
    ]
    answers = report(lease.token, results)
    assert [answer.receipt.value for answer in answers] == [
        "counted",
        "rejected",
        "rejected",
        "rejected",
        "requeued",
        "duplicate",
        "counted",
        "rejected",
        "rejected",
        "rejected",
    ]
    assert [answer.item for answer in answers] == [3, 2, 4, 99, 1, 3, 0, 4, 2, None]
    assert all(answer.reason for answer in answers if answer.receipt is Receipt.REJECTED)
    assert counts(job) == {"succeeded": 1, "failed": 1}


HOSTILE: dict[str, Any] = {
    "an item beyond 32 bits": {"item": 2**40, "outcome": "succeeded"},
    "an item beyond 64 bits": {"item": 2**70, "outcome": "failed"},
    "a negative item": {"item": -1, "outcome": "succeeded"},
    "an item that is text": Result("1", success(1).outcome),  # type: ignore[arg-type]
    "a boolean item": {"item": True, "outcome": "succeeded"},
    "an outcome that is none": Result(1, "maybe"),  # type: ignore[arg-type]
    "NaN": success(1, [float("nan")]),
    "infinity": success(1, {"x": float("inf")}),
    "U+0000": success(1, {"x\x00": 1}),
    "a lone surrogate": success(1, "\ud800"),
    "bytes": success(1, b"raw"),
    "a metric with U+0000": success(1, metrics={"a\x00": 1}),
    "a metric with a lone surrogate": success(1, metrics={"\ud800": 1}),
    "a metric that is too large": success(1, metrics={"bytes": 2**60}),
    "metrics that are a list": {"item": 1, "outcome": "succeeded", "metrics": [1]},
    "too many metrics": success(1, metrics={f"m{n}": n for n in range(40)}),
}


@pytest.mark.parametrize("bad", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_result_is_rejected_and_its_neighbour_counted(ledger_db: str, bad: Any) -> None:
    job = submit("hostile", keys(2), pipeline="p")
    lease = worker.lease()
    assert receipts(lease, bad, success(0)) == ["rejected", "counted"]
    assert counts(job) == {"succeeded": 1}


STRANGE_CAUSES: dict[str, Any] = {
    "U+0000": failure(0, "B\x00d", "a\x00b"),
    "lone surrogates": failure(0, "\ud800", "\udfff"),
    "too long": failure(0, "T" * 1000, "m" * 100_000),
    "no cause": {"item": 0, "outcome": "failed"},
    "as JSON": {"item": 0, "outcome": "failed", "error": {"type": "\x00", "message": "\ud800"}},
}


@pytest.mark.parametrize("retryable", [False, True])
@pytest.mark.parametrize("given", STRANGE_CAUSES.values(), ids=STRANGE_CAUSES)
def test_a_failure_with_a_strange_cause_is_a_failure_all_the_same(
    ledger_db: str, given: Any, *, retryable: bool
) -> None:
    job = submit("strange", keys(1), pipeline="p")
    if retryable:
        given = (
            given | {"retryable": True}
            if isinstance(given, dict)
            else Result(0, given.outcome, error=given.error, retryable=True)
        )
    expected = "requeued" if retryable else "counted"
    assert receipts(worker.lease(), given) == [expected]
    (item,) = items(job.pk)
    cause = item["attempts"][0]["error"] if retryable else item["outcomes"][0]["error"]
    assert cause["type"]
    assert len(cause["type"]) <= 200
    assert len(cause["message"]) <= limits().error_chars_max


@pytest.mark.parametrize("token", ["", "no token", "3f1c1f0e-6a0e-4a57-9a4b-0f6a86e2a001", "\x00"])
def test_an_unknown_lease_is_rejected(ledger_db: str, token: str) -> None:
    submit("one", keys(1), pipeline="p")
    (answer,) = report(token, [success(0)])
    assert (answer.receipt, answer.reason) == (Receipt.REJECTED, "unknown lease")


def test_an_item_of_another_lease_is_rejected(ledger_db: str) -> None:
    job = submit("two", keys(2), pipeline="p")
    first, second = worker.lease(limit=1), worker.lease(limit=1)
    assert receipts(first, success(1), success(0)) == ["rejected", "counted"]
    assert succeed(second) == ["counted"]
    assert status(job) == "SUCCESS"


def test_an_empty_report_is_answered_with_nothing(ledger_db: str) -> None:
    submit("one", keys(1), pipeline="p")
    assert report(worker.lease().token, []) == []


def test_too_many_results_at_once_are_refused(ledger_db: str, configure: Any) -> None:
    configure(results_per_report_max=2)
    submit("three", keys(3), pipeline="p")
    lease = worker.lease()
    with pytest.raises(InvalidResult, match="at most 2 results"):
        succeed(lease)
    assert succeed(lease, 0, 1) == ["counted", "counted"]


def test_results_as_json_are_taken_in_the_shape_of_the_interface(ledger_db: str) -> None:
    job = submit("json", keys(2), pipeline="p")
    lease = worker.lease()
    given = [
        {"item": 0, "outcome": "succeeded", "output": {"x": 1}, "metrics": {"bytes": 5}},
        {
            "item": 1,
            "outcome": "failed",
            "error": {"type": "Bad", "message": "no"},
            "retryable": False,
        },
    ]
    assert receipts(lease, *given) == ["counted", "counted"]
    good, bad = items(job.pk)
    assert good["outcomes"][0]["output"] == {"x": 1}
    assert bad["outcomes"][0]["error"] == {"type": "Bad", "message": "no"}
    assert metrics(job) == {"bytes": 5}


@pytest.mark.parametrize("output", [None, 0, False, "", [], {}, "ünïcode ✓", {"a": [1.5, None]}])
def test_any_json_is_an_output(ledger_db: str, output: Any) -> None:
    job = submit("one", keys(1), pipeline="p")
    lease = worker.lease()
    assert succeed(lease, output=output) == ["counted"]
    assert succeed(lease, output=output) == ["duplicate"]
    (item,) = items(job.pk)
    assert item["outcomes"][0]["output"] == output


def test_reporting_inside_a_transaction_is_refused_and_settles_nothing(ledger_db: str) -> None:
    job = submit("one", keys(1), pipeline="p")
    lease = worker.lease()
    with transaction.atomic(using=ledger_db), pytest.raises(NotDurable, match="on_commit"):
        succeed(lease)
    assert counts(job) == {}
    assert succeed(lease) == ["counted"]


def test_a_conflicting_result_is_kept_once_for_each_different_output(ledger_db: str) -> None:
    job = submit("one", keys(1), pipeline="p")
    lease = worker.lease()
    assert succeed(lease, output="first") == ["counted"]
    for output in ("second", "third", "second"):
        assert succeed(lease, output=output) == ["conflicting"]
    kept = Uncounted.objects.filter(job_id=job.pk, receipt="conflicting")
    assert sorted(kept.values_list("output", flat=True)) == ["second", "third"]
    assert items(job.pk)[0]["outcomes"][0]["output"] == "first"


def test_the_first_success_wins_whoever_held_the_item(ledger_db: str) -> None:
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
    """An amended item was credited to its lease before; the lease still holds the other."""
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


def test_settled_items_are_in_no_range_that_is_served(ledger_db: str) -> None:
    """What was given back and then reported after all is not worked a second time."""
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
    assert worker.kinds(job) == ["pending", "started"]
    succeed(lease, 1)
    assert status(job) == "SUCCESS"
    assert worker.revision(job) == 1
    assert audit(job.pk)["ok"]
