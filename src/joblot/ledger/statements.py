"""The statements written in SQL: one a file, named by its guard.

A file holds `%(name)s` parameters and `{NAME}` places for what differs by database or comes from
`states`: `{now}`, `{slot}`, sets such as `{CLAIMABLE}`, and single states.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from joblot import clock
from joblot.bounded_json import stored
from joblot.states import (
    CLAIMABLE,
    FINALIZABLE,
    HOLDING,
    TERMINAL,
    UNCLOSED,
    ItemState,
    LeaseState,
)

SLOTS = 64  # tally slots of a stage, numbered from 1; slot 0 is the folded one

_PLACES = {
    "postgresql": {
        "now": "statement_timestamp()",
        "frozen": "%(clock)s::timestamptz",
        "slot": f"(pg_backend_pid() %% {SLOTS} + 1)",
    },
    "sqlite": {
        "now": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
        "frozen": "%(clock)s",
        "slot": "1",
    },
}


def _sql_set(states: Iterable[IntEnum | StrEnum]) -> str:
    values = sorted(state.value for state in states)
    return ", ".join(f"'{v}'" if isinstance(v, str) else str(v) for v in values)


_STATES = {
    **{state.name: str(state.value) for kind in (ItemState, LeaseState) for state in kind},
    "CLAIMABLE": _sql_set(CLAIMABLE),
    "FINALIZABLE": _sql_set(FINALIZABLE),
    "HOLDING": _sql_set(HOLDING),
    "TERMINAL": _sql_set(TERMINAL),
    "UNCLOSED": _sql_set(UNCLOSED),
}


# Threads: a cache that at worst works the same text out twice.
@cache
def text(name: str, vendor: str, *, frozen: bool) -> str:
    """The statement `name` as this database wants it."""
    folder = files("joblot.ledger") / "sql"
    path = folder / vendor / f"{name}.sql"
    if not path.is_file():
        path = folder / "common" / f"{name}.sql"
    lines = path.read_text(encoding="utf-8").splitlines()
    body = "\n".join(line for line in lines if not line.lstrip().startswith("--"))
    places = _PLACES[vendor]
    now = places["frozen"] if frozen else places["now"]
    return body.format(now=now, slot=places["slot"], **_STATES)


def fetch(connection: BaseDatabaseWrapper, name: str, /, **params: Any) -> list[tuple[Any, ...]]:
    """Run the statement `name` and return its rows."""
    with _executed(connection, name, params) as cursor:
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def execute(connection: BaseDatabaseWrapper, name: str, /, **params: Any) -> None:
    """Run the statement `name`, which returns no rows."""
    with _executed(connection, name, params):
        pass


@contextmanager
def _executed(
    connection: BaseDatabaseWrapper, name: str, params: dict[str, Any]
) -> Iterator[CursorWrapper]:
    moment = clock.frozen()
    if moment is not None:
        params["clock"] = moment
    adapted = {key: _adapted(connection, value) for key, value in params.items()}
    with connection.cursor() as cursor:
        cursor.execute(text(name, connection.vendor, frozen=moment is not None), adapted)
        yield cursor


def moment(value: Any) -> datetime:
    """A time from a row, aware; SQLite gives text, or a time that is UTC and does not say so."""
    read = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def json_value(value: Any) -> Any:
    """A JSON column of a row, Unreadable included; it comes as text from every database."""
    return stored(value) if isinstance(value, str) else value


def _adapted(connection: BaseDatabaseWrapper, value: Any) -> Any:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if connection.vendor == "sqlite":
        if isinstance(value, UUID):
            return value.hex
        if isinstance(value, list):
            return json.dumps(value)
    elif isinstance(value, list) and all(isinstance(one, int) for one in value):
        # Text costs less than psycopg's array, whose type changes with the size of the numbers,
        # and with it the prepared statement.
        return f"{{{','.join(map(str, value))}}}"
    return value
