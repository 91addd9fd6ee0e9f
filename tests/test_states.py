"""The state machines are complete, consistent, and the same as the database's trigger."""

from __future__ import annotations

from importlib import import_module
from itertools import product

import pytest

from joblot import states
from joblot.models import Job
from joblot.states import (
    RECEIPTS,
    TRANSITIONS,
    JobStatus,
    JobTransition,
    LeaseState,
    Receipt,
    Report,
    Standing,
    receipt_for,
    verdict,
)

guard = import_module("joblot.migrations.0002_guards")

HELD = (LeaseState.LIVE, LeaseState.SPENT)


def expected(lease: LeaseState, standing: Standing, report: Report) -> Receipt:
    """The receipts again, as rules instead of a table."""
    return (
        _success(lease, standing) if report is Report.SUCCESS else _failure(lease, standing, report)
    )


def _success(lease: LeaseState, standing: Standing) -> Receipt:
    if standing is Standing.SAME:
        return Receipt.DUPLICATE
    if standing is Standing.OTHER:
        return Receipt.CONFLICTING
    if _is_over(lease, standing):
        return Receipt.LATE
    gave_up = standing in (Standing.FAILED, Standing.LOST)
    return Receipt.AMENDED if gave_up else Receipt.COUNTED


def _failure(lease: LeaseState, standing: Standing, report: Report) -> Receipt:
    if standing in (Standing.SAME, Standing.OTHER):
        return Receipt.SUPERSEDED
    if standing in (Standing.RETURNED, Standing.FAILED):
        return Receipt.DUPLICATE
    if _is_over(lease, standing):
        return Receipt.LATE
    if standing is Standing.LOST or lease is LeaseState.EXPIRED:
        return Receipt.SUPERSEDED
    return Receipt.COUNTED if report is Report.FINAL_FAILURE else Receipt.REQUEUED


def _is_over(lease: LeaseState, standing: Standing) -> bool:
    """The run is over, or the job is deleted and its outcomes are removed."""
    removed = lease is LeaseState.SPENT and standing is Standing.OPEN
    return lease is LeaseState.CLOSED or removed


CELLS = list(product(LeaseState, Standing, Report))


def test_the_receipt_table_has_every_cell_and_no_other() -> None:
    assert set(RECEIPTS) == set(CELLS)


@pytest.mark.parametrize(("lease", "standing", "report"), CELLS)
def test_each_receipt_is_what_the_rules_say(
    lease: LeaseState, standing: Standing, report: Report
) -> None:
    receipt = expected(lease, standing, report)
    assert receipt_for(lease, standing, report, last_stage=True) is receipt
    earlier = Receipt.LATE if receipt is Receipt.AMENDED else receipt
    assert receipt_for(lease, standing, report, last_stage=False) is earlier


def test_every_status_is_active_or_terminal() -> None:
    assert set(JobStatus) == states.ACTIVE | states.TERMINAL
    assert not states.ACTIVE & states.TERMINAL


def test_the_sets_are_where_the_table_has_the_transition() -> None:
    assert states.sources(JobTransition.FINISH) == states.FINALIZABLE
    assert states.sources(JobTransition.CANCEL) == states.CANCELABLE
    assert states.sources(JobTransition.RETRY) == states.RETRYABLE
    assert states.sources(JobTransition.AMEND) == states.AMENDABLE
    assert states.CLAIMABLE <= states.FINALIZABLE <= states.ACCEPTING <= states.ACTIVE
    assert states.RETRYABLE | states.AMENDABLE <= states.TERMINAL
    assert states.FILLABLE <= states.ACTIVE
    assert JobStatus.CANCELING not in states.CLAIMABLE | states.FINALIZABLE | states.FILLABLE


def test_a_terminal_status_is_left_by_a_retry_only_and_changed_by_an_amendment_only() -> None:
    for (status, transition), targets in TRANSITIONS.items():
        if status in states.TERMINAL:
            assert transition in (JobTransition.RETRY, JobTransition.AMEND)
        if transition is JobTransition.AMEND:
            assert targets <= states.TERMINAL
    assert JobStatus.SUCCESS not in {status for status, _ in TRANSITIONS}


def test_an_amendment_never_makes_a_verdict_worse() -> None:
    worst_first = [JobStatus.FAILURE, JobStatus.COMPLETED_WITH_ERRORS, JobStatus.SUCCESS]
    for (status, transition), targets in TRANSITIONS.items():
        if transition is JobTransition.AMEND:
            assert targets == set(worst_first[worst_first.index(status) :])


def test_every_status_is_reached_from_created() -> None:
    reached, todo = set(), [JobStatus.CREATED]
    while todo:
        status = todo.pop()
        if status not in reached:
            reached.add(status)
            todo += [t for (s, _), targets in TRANSITIONS.items() if s is status for t in targets]
    assert reached == set(JobStatus)


def test_the_trigger_holds_the_same_pairs() -> None:
    chart = {
        (status.value, target.value, int(transition is JobTransition.RETRY))
        for (status, transition), targets in TRANSITIONS.items()
        for target in targets
        if target is not status
    }
    assert set(guard.TRANSITIONS) == chart
    assert len(guard.TRANSITIONS) == len(chart)


def test_the_trigger_knows_the_terminal_statuses() -> None:
    assert {text.strip(" '") for text in guard.TERMINAL.split(",")} == states.TERMINAL


def test_the_trigger_owns_every_column_that_adopters_do_not() -> None:
    columns = {field.column for field in Job._meta.concrete_fields} - {"id"}
    assert set(guard.OWNED) == columns - Job.ADOPTER_FIELDS


def test_lease_sets() -> None:
    assert set(HELD) == states.HOLDING
    assert set(LeaseState) - {LeaseState.CLOSED, LeaseState.SPENT} == states.CAN_SETTLE
    assert set(states.ItemState) - {states.ItemState.OPEN} == states.SETTLED


@pytest.mark.parametrize(
    ("total", "succeeded", "threshold", "status"),
    [
        (0, 0, 0.5, "SUCCESS"),
        (0, 0, 0.0, "SUCCESS"),
        (10, 10, 0.0, "SUCCESS"),
        (10, 9, 0.0, "FAILURE"),
        (10, 9, 0.1, "COMPLETED_WITH_ERRORS"),  # exactly at the threshold is not above it
        (10, 8, 0.1, "FAILURE"),
        (2, 1, 0.5, "COMPLETED_WITH_ERRORS"),
        (3, 1, 0.5, "FAILURE"),
        (10, 7, 0.3, "COMPLETED_WITH_ERRORS"),  # 0.3 as a binary float exceeds 3/10
        (1_000_000, 699_999, 0.3, "FAILURE"),
        (10, 0, 1.0, "COMPLETED_WITH_ERRORS"),
        (1, 0, 0.999, "FAILURE"),
    ],
)
def test_the_verdict_is_exact_at_the_threshold(
    total: int, succeeded: int, threshold: float, status: str
) -> None:
    assert verdict(total, succeeded, threshold) == status
