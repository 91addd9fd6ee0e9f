"""Report: every cell of the receipt table by real reports, and what each receipt leaves behind."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from django.db import transaction

from joblot.config import limits
from joblot.errors import InvalidResult, NotDurable
from joblot.fingerprint import cause_of
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.lease import expire
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Lease as LeaseRow
from joblot.states import RECEIPTS, LeaseState, Receipt, Report, Standing, receipt_for
from joblot.wire import GrantedLease, Result, failure, success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, metrics, receipts, status, succeed

# The items of a spent lease have outcomes, unless a removal has deleted these.
UNREACHABLE = {(LeaseState.SPENT, Standing.OPEN)}
CELLS = [cell for cell in product(LeaseState, Standing, Report) if cell[:2] not in UNREACHABLE]


def arrange(standing: Standing, state: LeaseState, job_id: int) -> GrantedLease:
    """A lease in `state` that was granted items 0 and 1, with item 0 in this standing."""
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
    error = bad["outcomes"][0]["error"]
    assert error == {
        "type": "Bad",
        "message": "no",
        "cause": cause_of("Bad", "no"),
        "traceback": "",
    }
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
