"""A report in one round trip: what it sends, and what if its check fails after the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from tempfile import TemporaryFile
from typing import Any

import pytest
from django.db import connections
from django.db.transaction import on_commit
from psycopg.pq import Trace

from joblot.errors import PermanentError
from joblot.ledger.db import functions
from joblot.ledger.report.hooks import on_result
from joblot.ledger.report.report import report
from joblot.ledger.rows import pipelines_claimed
from joblot.ledger.submit.submit import submit
from joblot.models import Outcome
from joblot.wire import GrantedLease, success
from tests.ledger import worker
from tests.ledger.worker import counts, keys, numbers, status, succeed

pytestmark = pytest.mark.usefixtures("postgres_only")

ONE = ["CALL joblot_report_1"]
PARTS = ["SELECT s.job", "SELECT joblot_count_1", "SELECT joblot_may_be_due_1"]
CHECK = "report/may_be_due_1"
BROKEN = """
CREATE OR REPLACE FUNCTION joblot_may_be_due_1(job bigint, failed int)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$
"""


def sent(act: Callable[[], object]) -> list[str]:
    """The statements of `act`: of each, what it does and to what."""
    heads: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        does, what, *_ = sql.replace(",", " ").replace("(", " ").split()
        heads.append(f"{does} {what}")
        return execute(sql, params, many, context)

    with connections["postgres"].execute_wrapper(note):
        act()
    return heads


@pytest.fixture
def lease() -> GrantedLease:
    """Of a job with items that were never granted."""
    submit("long", keys(600), pipeline="p")
    return worker.lease(limit=4)


def test_a_report_is_one_statement_while_items_wait_that_were_never_granted(
    lease: GrantedLease,
) -> None:
    assert sent(lambda: report(lease.token, map(success, numbers(lease)))) == ONE


def test_a_repeated_report_is_tried_at_once_only_once(lease: GrantedLease) -> None:
    results = [success(number) for number in numbers(lease)]
    report(lease.token, results)
    assert sent(lambda: report(lease.token, results)).count(*ONE) == 1


def test_an_output_that_is_not_one_value_shifts_no_other(lease: GrantedLease) -> None:
    """The outputs of a report are one array, and this text would be two of its elements."""
    two = replace(success(0, "a"), output_text="1,2")
    receipts = report(lease.token, [two, success(1, "b"), success(2, "c")])
    assert [one.receipt for one in receipts] == ["rejected", "counted", "counted"]
    kept = Outcome.objects.order_by("number").values_list("number", "output")
    assert list(kept) == [(1, "b"), (2, "c")]


def test_a_hook_on_another_pipeline_adds_none(lease: GrantedLease) -> None:
    on_result("q")(lambda results: None)
    assert sent(lambda: succeed(lease)) == ONE


def test_a_hook_adds_one_transaction_and_its_own_statements(lease: GrantedLease) -> None:
    got: list[list[int]] = []
    on_result("p")(lambda results: got.append([one.number for one in results]))
    assert sent(lambda: report(lease.token, map(success, numbers(lease)))) == PARTS
    assert got == [[0, 1, 2, 3]]


def round_trips(act: Callable[[], object]) -> int:
    """How often `act` waits for the server: each time it answers that it is ready for more."""
    link = connections["postgres"].connection.pgconn
    with TemporaryFile() as file:
        link.trace(file.fileno())
        link.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            act()
        finally:
            link.untrace()
        file.seek(0)
        return sum(b"ReadyForQuery" in line for line in file)


def test_count_commit_and_check_are_one_round_trip_after_a_hook() -> None:
    """The fewest of several reports: the driver prepares a statement when it is sent once more."""
    on_result("p")(lambda results: None)
    submit("long", keys(600), pipeline="p")
    taken = [round_trips(partial(succeed, worker.lease(limit=4))) for _ in range(10)]
    assert min(taken) == len(["BEGIN", "settle", "count, COMMIT, check"])


def test_of_a_lease_claimed_elsewhere_the_database_says_that_it_has_a_hook(
    lease: GrantedLease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines_claimed, "_pipelines", {})
    got: list[str] = []
    on_result("p")(lambda results: got.extend(one.key for one in results))
    report(lease.token, map(success, numbers(lease)))
    assert got == ["k0", "k1", "k2", "k3"]


def test_a_hook_that_refuses_an_item_is_called_for_each_alone(lease: GrantedLease) -> None:
    calls: list[int] = []

    @on_result("p")
    def strict(results: Any) -> None:
        calls.append(len(results))
        if any(one.number == 2 for one in results):
            raise PermanentError("too dark")

    assert succeed(lease) == ["counted"] * 4
    assert calls[-4:] == [1, 1, 1, 1]


@pytest.fixture
def broken_check() -> Iterator[None]:
    with connections["postgres"].cursor() as cursor:
        cursor.execute(BROKEN)
    yield
    with connections["postgres"].cursor() as cursor:
        for statement in functions.creation(CHECK):
            cursor.execute(statement)


def test_an_error_after_the_commit_takes_no_receipt_away(broken_check: None) -> None:
    """The job may be due, as far as is known: its sums are read."""
    job = submit("last", keys(2), pipeline="p")
    assert succeed(worker.lease(limit=1)) == ["counted"]
    assert counts(job) == {"succeeded": 1}
    assert succeed(worker.lease()) == ["counted"]
    assert status(job) == "SUCCESS"


def test_nor_does_one_after_a_hook(broken_check: None) -> None:
    saved: list[str] = []
    on_result("p")(lambda results: saved.extend(one.key for one in results))
    test_an_error_after_the_commit_takes_no_receipt_away(None)
    assert saved == ["k0", "k1"]


def test_what_a_hook_does_on_commit_runs_after_it(lease: GrantedLease) -> None:
    seen: list[int] = []
    on_result("p")(
        lambda results: on_commit(lambda: seen.append(Outcome.objects.count()), using="postgres")
    )
    assert succeed(lease) == ["counted"] * 4
    assert seen == [4]
