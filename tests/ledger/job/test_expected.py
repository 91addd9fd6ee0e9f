"""Cancel a job only if exactly the expected number of its items is not settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from joblot.errors import NumberChanged
from joblot.ledger.job.edit import edit
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.submit.submit import add_items, submit
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, kinds, status, succeed


@pytest.mark.parametrize(("expected", "is_right"), [(1, False), (2, True), (3, False)])
def test_exact_or_refused(ledger_db: str, expected: int, is_right: bool) -> None:
    job = submit("j", keys(4), pipeline="p")
    succeed(worker.lease(limit=1))
    fail(worker.lease(limit=1))
    if is_right:
        assert cancel(job.pk, expected=expected).status == "REVOKED"
        return
    with pytest.raises(NumberChanged, match=r"unsettled items?, found 2; nothing was cha") as got:
        cancel(job.pk, expected=expected)
    assert (got.value.expected, got.value.found) == (expected, 2)
    assert (status(job), kinds(job)) == ("STARTED", ["started", "claimed"])


def test_an_item_of_two_stages_is_settled_when_it_is_in_the_last(ledger_db: str) -> None:
    job = submit("j", keys(5), stages=TWO_STAGES)
    lease = worker.lease(limit=3)
    succeed(lease, 0, 1)
    fail(lease, 2)  # skipped in the second stage
    succeed(worker.lease("q", limit=1))
    with pytest.raises(NumberChanged) as got:
        cancel(job.pk, expected=2)
    assert got.value.found == 3
    assert cancel(job.pk, expected=3).status == "REVOKED"


def test_a_job_without_any_result_and_an_empty_one_that_is_open(ledger_db: str) -> None:
    job = submit("j", keys(3), pipeline="p")
    assert cancel(job.pk, expected=3).status == "REVOKED"
    assert cancel(submit("e", pipeline="p", seal=False).pk, expected=0).status == "REVOKED"


def test_fewer_are_fine_if_the_caller_says_so_but_never_more(ledger_db: str) -> None:
    job = submit("j", keys(4), pipeline="p")
    succeed(worker.lease(limit=1))
    with pytest.raises(NumberChanged, match="expected 2 unsettled items, found 3"):
        cancel(job.pk, expected=2, or_fewer=True)
    assert cancel(job.pk, expected=4, or_fewer=True).status == "REVOKED"


def test_repeating_a_cancel_is_no_change_and_so_expects_nothing(ledger_db: str) -> None:
    job = submit("j", keys(3), pipeline="p")
    cancel(job.pk, expected=3)
    assert cancel(job.pk, expected=1).status == "REVOKED"


def test_items_that_are_added_change_the_number(ledger_db: str) -> None:
    job = submit("j", keys(3), pipeline="p", seal=False)
    add_items(job.pk, keys(5))
    with pytest.raises(NumberChanged, match="expected 3 unsettled items, found 5"):
        cancel(job.pk, expected=3)


def between_the_count_and_the_change(using: str, act: Callable[[], Any]) -> Any:
    """Let `act` happen elsewhere, once, before the change's transaction begins."""
    left = [act]

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        found = execute(sql, params, many, context)
        if left and "joblot_tally" in sql and sql.startswith("SELECT"):
            left.pop()()
        return found

    return connections[using].execute_wrapper(wrapper)


def test_a_report_between_the_count_and_the_change_is_noticed(
    ledger_db: str, in_thread: Callable[..., Any]
) -> None:
    job = submit("j", keys(3), pipeline="p")
    lease = worker.lease(limit=1)
    report = lambda: in_thread(succeed, lease).result()  # noqa: E731
    with between_the_count_and_the_change(ledger_db, report), pytest.raises(NumberChanged) as got:
        cancel(job.pk, expected=3)
    assert (got.value.found, status(job)) == (2, "STARTED")


def test_a_report_in_between_lets_a_cancel_of_fewer_items_through(
    ledger_db: str, in_thread: Callable[..., Any]
) -> None:
    job = submit("j", keys(3), pipeline="p")
    lease = worker.lease(limit=1)
    report = lambda: in_thread(succeed, lease).result()  # noqa: E731
    with between_the_count_and_the_change(ledger_db, report):
        assert cancel(job.pk, expected=3, or_fewer=True).status == "REVOKED"


def test_items_added_in_between_are_noticed_although_fewer_would_be_fine(
    ledger_db: str, in_thread: Callable[..., Any]
) -> None:
    job = submit("j", keys(3), pipeline="p", seal=False)
    add = lambda: in_thread(add_items, job.pk, keys(4)).result()  # noqa: E731
    with between_the_count_and_the_change(ledger_db, add), pytest.raises(NumberChanged):
        cancel(job.pk, expected=3, or_fewer=True)


def test_another_change_in_between_is_not_a_changed_number(
    ledger_db: str, in_thread: Callable[..., Any]
) -> None:
    job = submit("j", keys(3), pipeline="p")
    rename = lambda: in_thread(edit, job.pk, name="other").result()  # noqa: E731
    with between_the_count_and_the_change(ledger_db, rename):
        assert cancel(job.pk, expected=3).status == "REVOKED"
    assert kinds(job) == ["started", "edited", "canceling", "finished"]
