"""The judgement of results: each cell of the receipt table, without a database."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from joblot.ledger.db import functions
from joblot.ledger.report.judge import View, judge
from joblot.ledger.report.pending_result import PendingResult
from joblot.ledger.report.write import deltas_of
from joblot.ledger.rows.items import OutcomeRow
from joblot.ledger.rows.ranges import Span
from joblot.states import (
    RECEIPTS,
    ItemState,
    LeaseState,
    Receipt,
    Report,
    Standing,
    receipt_for,
)
from joblot.wire import failure, success

ITEM = 5
OUTCOMES = {
    Standing.SAME: OutcomeRow(ITEM, ItemState.SUCCEEDED, b"a", None),
    Standing.OTHER: OutcomeRow(ITEM, ItemState.SUCCEEDED, b"b", None),
    Standing.FAILED: OutcomeRow(ITEM, ItemState.FAILED, None, None),
    Standing.LOST: OutcomeRow(ITEM, ItemState.LOST, None, None),
}
RESULTS = {
    Report.SUCCESS: PendingResult(success(ITEM, "a", {"bytes": 3}), '"a"', b"a"),
    Report.FINAL_FAILURE: PendingResult(failure(ITEM, "Bad")),
    Report.RETRYABLE_FAILURE: PendingResult(failure(ITEM, "Bad", retryable=True)),
}


def view(lease: LeaseState, standing: Standing, **changes: Any) -> View:
    outcome = OUTCOMES.get(standing)
    seen = View(
        lease=lease,
        spans=(Span(0, 3), Span(4, 6, failures=1)),
        given_up=frozenset({ITEM} if standing is Standing.RETURNED else ()),
        failures_max=3,
        last_stage=True,
        why_late="the job was cancelled",
        outcomes={ITEM: outcome} if outcome else {},
    )
    return replace(seen, **changes)


@pytest.mark.parametrize("last_stage", [True, False])
@pytest.mark.parametrize(
    ("lease", "standing", "given"), list(product(LeaseState, Standing, Report))
)
def test_each_cell_is_what_the_table_says(
    lease: LeaseState, standing: Standing, given: Report, *, last_stage: bool
) -> None:
    (decision,) = judge([RESULTS[given]], view(lease, standing, last_stage=last_stage))
    assert decision.receipt is receipt_for(lease, standing, given, last_stage=last_stage)
    assert decision.outcome == OUTCOMES.get(standing)
    assert decision.failures == 1
    late = decision.receipt is Receipt.LATE
    assert decision.reason == ("the job was cancelled" if late else "")
    kept = decision.receipt in (Receipt.LATE, Receipt.CONFLICTING)
    assert decision.keep == (kept and given is Report.SUCCESS)
    assert not decision.lacks_file


@pytest.mark.parametrize(("lease", "standing", "given"), list(RECEIPTS))
def test_the_statement_settles_at_once_what_the_table_counts(
    lease: LeaseState, standing: Standing, given: Report
) -> None:
    states = {Report.SUCCESS: ItemState.SUCCEEDED, Report.FINAL_FAILURE: ItemState.FAILED}
    if given not in states or standing not in (Standing.OPEN, Standing.RETURNED):
        return  # it leaves alone what may be tried again, and whatever has an outcome
    cell = f"({lease.value}, {standing is Standing.RETURNED}, {states[given].value})"
    counted = RECEIPTS[lease, standing, given] is Receipt.COUNTED
    assert (cell in functions.source("report/settle_1")) == counted


def test_an_item_that_the_lease_was_not_granted_is_unknown() -> None:
    (decision,) = judge([PendingResult(success(7))], view(LeaseState.LIVE, Standing.OPEN))
    assert decision.receipt is Receipt.REJECTED
    assert "not granted" in decision.reason


@pytest.mark.parametrize(("failures_max", "receipt"), [(2, Receipt.COUNTED), (3, Receipt.REQUEUED)])
def test_a_failure_is_final_once_the_budget_is_used(failures_max: int, receipt: Receipt) -> None:
    seen = view(LeaseState.LIVE, Standing.OPEN, failures_max=failures_max)
    (decision,) = judge([RESULTS[Report.RETRYABLE_FAILURE]], seen)
    assert decision.receipt is receipt


@pytest.mark.parametrize(
    ("lease", "standing", "kept"),
    [
        (LeaseState.CLOSED, Standing.OPEN, (Receipt.LATE, ITEM, None)),
        (LeaseState.LIVE, Standing.OTHER, (Receipt.CONFLICTING, ITEM, b"a")),
    ],
)
def test_what_is_kept_already_is_not_kept_again(
    lease: LeaseState, standing: Standing, kept: Any
) -> None:
    one = [RESULTS[Report.SUCCESS]]
    other_output = (Receipt.CONFLICTING, ITEM, b"c")
    (decision,) = judge(one, view(lease, standing, kept={other_output}))
    assert decision.keep
    (decision,) = judge(one, view(lease, standing, kept={other_output, kept}))
    assert not decision.keep


@pytest.mark.parametrize(("lease", "standing"), list(product(LeaseState, Standing)))
def test_a_large_output_lacks_its_file_only_where_it_is_kept(
    lease: LeaseState, standing: Standing
) -> None:
    large = replace(RESULTS[Report.SUCCESS], large=True)
    (decision,) = judge([large], view(lease, standing))
    assert decision.lacks_file == (decision.receipt is not Receipt.DUPLICATE)
    (decision,) = judge([large.stored_as("a file")], view(lease, standing))
    assert not decision.lacks_file


@pytest.mark.parametrize(
    ("lease", "standing", "given"), list(product(LeaseState, Standing, Report))
)
def test_the_counts_move_by_what_was_decided(
    lease: LeaseState, standing: Standing, given: Report
) -> None:
    decisions = judge([RESULTS[given]], view(lease, standing))
    deltas = deltas_of(decisions, stage=0, stages_total=2)
    here = deltas.by_stage.get(0, Counter())
    receipt, good = decisions[0].receipt, given is Report.SUCCESS
    late = receipt is Receipt.LATE and good
    settled = {Receipt.COUNTED: 1, Receipt.AMENDED: 0}.get(receipt, 0)
    assert here["late"] == late
    assert sum(here.values()) == settled + late
    assert deltas.metrics[0, "bytes"] == (3 if good and decisions[0].settles else 0)
    if receipt is Receipt.COUNTED and not good:
        assert deltas.by_stage[1]["skipped"] == 1
