"""How much work the database does for each statement of a call, whatever its plan.

PostgreSQL counts rows that its scans touch, using generic plans; SQLite counts steps of its
virtual machine, about ten per row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg.sql
from django.db import connections

STEPS = 1_000  # between two calls of SQLite's progress handler
PLACE = re.compile(r"%(?:\((\w+)\)s|s|%)")
READS = ("SELECT", "WITH")


def work(using: str, act: Callable[[], object]) -> Mapping[str, int]:
    """By statement, the work of its most expensive run."""
    measure = _rows if connections[using].vendor == "postgresql" else _steps
    sent: list[tuple[str, Any]] = []

    def write_down(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().split()[0] in READS:
            sent.append((sql, params))
        return execute(sql, params, many, context)

    with connections[using].execute_wrapper(write_down):
        act()
    found: dict[str, int] = {}
    for sql, params in sent:
        found[sql] = max(found.get(sql, 0), measure(using, sql, params))
    return found


def _rows(using: str, sql: str, params: Any) -> int:
    with connections[using].cursor() as cursor:
        text, values = _numbered(sql, params)
        given = ", ".join(psycopg.sql.Literal(one).as_string(None) for one in values)
        cursor.execute(f"PREPARE explained AS {text}")
        called = f"EXECUTE explained{given and f'({given})'}".replace("%", "%%")
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {called}", ())
        (answer,) = cursor.fetchone()
        cursor.execute("DEALLOCATE explained")
    plan = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
    return sum(_touched(node) for node in _nodes(plan))


def _touched(node: dict[str, Any]) -> int:
    """The rows of a scan, including those filtered out."""
    if "Scan" not in node["Node Type"]:
        return 0
    thrown_away = sum(node.get(name, 0) for name in node if name.startswith("Rows Removed by"))
    return int((node["Actual Rows"] + thrown_away) * node["Actual Loops"])


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _numbered(sql: str, params: Any) -> tuple[str, list[Any]]:
    """Number the parameters from `$1`; equal names share a number."""
    values: dict[str, Any] = {}

    def number(place: re.Match[str]) -> str:
        if place[0] == "%%":
            return "%"
        name = place[1] or str(len(values))
        values.setdefault(name, params[name] if place[1] else params[len(values)])
        return f"${list(values).index(name) + 1}"

    return PLACE.sub(number, sql), list(values.values())


def _steps(using: str, sql: str, params: Any) -> int:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += STEPS
        return 0

    raw = connections[using].connection
    raw.set_progress_handler(count, STEPS)
    try:
        with connections[using].cursor() as cursor:
            cursor.execute(sql, params)
            cursor.fetchall()
    finally:
        raw.set_progress_handler(None, STEPS)
    return steps
