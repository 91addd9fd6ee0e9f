"""How SQLite runs statements called per item: by look-up of each row, however many there are.

The explained statements are those that the verbs send. The tables are not analyzed, as in a new
file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.db import connections

from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import add_items, submit
from joblot.models import Job
from joblot.states import JobStatus
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.statistics import forget_statistics
from tests.ledger.worker import TWO_STAGES, keys

GROW = re.compile(r"joblot_(item|outcome|attempt)")
LOOK_UP = re.compile(r"(key=|number[=<>])")


def plans(act: Callable[[], object]) -> dict[str, list[str]]:
    """The plan steps of all statements that `act` sends, by statement."""
    sent: dict[str, Any] = {}

    def write_down(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().split()[0] in {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}:
            sent.setdefault(sql, next(iter(params), ()) if many else params)
        return execute(sql, params, many, context)

    with connections["sqlite"].execute_wrapper(write_down):
        act()
    return {sql: _steps(sql, params) for sql, params in sent.items()}


def _steps(sql: str, params: Any) -> list[str]:
    with connections["sqlite"].cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        return [str(detail) for *_, detail in cursor.fetchall()]


def test_no_hot_verb_walks_over_the_items(sqlite_only: str) -> None:
    forget_statistics(sqlite_only)
    job = submit("a", keys(50), stages=TWO_STAGES, seal=False)
    first, second = worker.lease("p", 10), worker.lease("p", 10)
    one = worker.numbers(second)[0]

    def judged() -> None:
        """A retryable failure, a repeat and a late success, which are judged one by one."""
        report(second.token, [failure(one, "Bad", "broken", retryable=True), success(one)])

    verbs: dict[str, Callable[[], object]] = {
        "fill": lambda: add_items(job.pk, keys(70)),
        "report": lambda: worker.succeed(first),
        "report again": lambda: worker.succeed(first),
        "judged": judged,
        "claim": lambda: worker.lease("p", 10),
        "claim of the second stage": lambda: worker.lease("q", 5),
    }
    explained = [
        (verb, sql, step)
        for verb, act in verbs.items()
        for sql, steps in plans(act).items()
        for step in steps
    ]
    about_items = [one for one in explained if GROW.search(one[2])]
    assert {verb for verb, _, _ in about_items} == set(verbs)
    assert [one for one in about_items if not LOOK_UP.search(one[2])] == []
    assert Job.objects.get().status == JobStatus.STARTED
