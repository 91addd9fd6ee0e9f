"""The statements written in SQL: one a file, named by its guard.

A file holds `%(name)s` parameters and `{NAME}` places for what differs by database or comes from
`states`: `{now}`, `{slot}`, sets such as `{CLAIMABLE}`, and single states. A line that ends in
`-- if NAME` is part of the statement only if that parameter is given, and not None.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import cache, partial
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
    FileState,
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
    **{
        state.name: str(state.value)
        for kind in (ItemState, LeaseState, FileState)
        for state in kind
    },
    "CLAIMABLE": _sql_set(CLAIMABLE),
    "FINALIZABLE": _sql_set(FINALIZABLE),
    "HOLDING": _sql_set(HOLDING),
    "TERMINAL": _sql_set(TERMINAL),
    "UNCLOSED": _sql_set(UNCLOSED),
}


# Threads: a cache that at worst works the same text out twice.
@cache
def text(name: str, vendor: str, *, frozen: bool, given: frozenset[str] = frozenset()) -> str:
    """The statement `name` as this database wants it, with the optional lines of `given`."""
    lines = [line for line, wanted in _lines(name, vendor) if wanted is None or wanted in given]
    places = _PLACES[vendor]
    now = places["frozen"] if frozen else places["now"]
    return "\n".join(lines).format(now=now, slot=places["slot"], **_STATES)


# Threads: as above.
@cache
def optional(name: str, vendor: str) -> frozenset[str]:
    """The parameters without which a line of the statement is left out."""
    return frozenset(wanted for _, wanted in _lines(name, vendor) if wanted is not None)


def _lines(name: str, vendor: str) -> Iterator[tuple[str, str | None]]:
    """The lines of a statement's file but for its header, each with the parameter it depends on."""
    folder = files("joblot.ledger") / "sql"
    path = folder / vendor / f"{name}.sql"
    if not path.is_file():
        path = folder / "common" / f"{name}.sql"
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.lstrip().startswith("--"):
            kept, _, wanted = line.partition(" -- if ")
            yield kept, wanted.strip() or None


def fetch(connection: BaseDatabaseWrapper, name: str, /, **params: Any) -> list[tuple[Any, ...]]:
    """Run the statement `name` and return its rows."""
    with _executed(connection, name, params) as cursor:
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def execute(connection: BaseDatabaseWrapper, name: str, /, **params: Any) -> None:
    """Run the statement `name`, which returns no rows."""
    with _executed(connection, name, params):
        pass


def copy_in(
    connection: BaseDatabaseWrapper, statement: str, rows: Iterable[tuple[Any, ...]]
) -> None:
    """Run a `COPY … FROM STDIN` as any other statement: through what is wrapped around those
    (`connection.execute_wrapper`), and with Django's errors in place of the driver's.
    """

    def copied(sql: str, given: Any, many: bool, context: Any) -> None:
        with connection.wrap_database_errors, context["cursor"].copy(sql) as copying:
            for row in given:
                copying.write_row(row)

    with connection.cursor() as cursor:
        run: Callable[..., None] = copied
        for wrapper in reversed(connection.execute_wrappers):
            run = partial(wrapper, run)
        run(statement, rows, True, {"connection": connection, "cursor": cursor})


@contextmanager
def _executed(
    connection: BaseDatabaseWrapper, name: str, params: dict[str, Any]
) -> Iterator[CursorWrapper]:
    moment = clock.frozen()
    if moment is not None:
        params["clock"] = moment
    vendor = connection.vendor
    given = frozenset(one for one in optional(name, vendor) if params.get(one) is not None)
    adapted = {key: _adapted(connection, value) for key, value in params.items()}
    with connection.cursor() as cursor:
        cursor.execute(text(name, vendor, frozen=moment is not None, given=given), adapted)
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
