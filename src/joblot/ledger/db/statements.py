"""The statements written in SQL: one per file, beside the verb that runs it, named after its guard.

`claim/is_ready` is `claim/is_ready.postgresql.sql` on PostgreSQL; a statement that both databases
run has no suffix. A name that begins with `../` is that of another package.

A file holds `%(name)s` parameters, and `{NAME}` placeholders for what differs by database or comes
from `states`: those that `Dialect` names, sets such as `{CLAIMABLE}`, and single states.
`({PIPELINE_IN_FLIGHT[q.pipeline]})` is the statement `rows/pipeline_in_flight` as a subquery, with
`q.pipeline` for its parameter. A line that ends in `-- if NAME` is part of the statement only if
that parameter is given and not None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot import clock
from joblot.bounded_json import stored
from joblot.ledger.db.base import Dialect
from joblot.ledger.db.dialect import dialect_of
from joblot.states import (
    CAN_SETTLE,
    CANCELABLE,
    CLAIMABLE,
    COUNTED,
    FINALIZABLE,
    HOLDING,
    TERMINAL,
    FileState,
    ItemState,
    LeaseState,
    Report,
    Standing,
)


def _sql_set(states: Iterable[IntEnum | StrEnum]) -> str:
    values = sorted(state.value for state in states)
    return ", ".join(f"'{v}'" if isinstance(v, str) else str(v) for v in values)


def _counted() -> str:
    """(lease, whether it has given the item back, state of the result) of what is counted."""
    states = {Report.SUCCESS: ItemState.SUCCEEDED, Report.FINAL_FAILURE: ItemState.FAILED}
    return ", ".join(
        sorted(
            f"({lease.value}, {standing is Standing.RETURNED}, {states[report].value})"
            for lease, standing, report in COUNTED
            if report in states
        )
    )


_STATES = {
    **{
        state.name: str(state.value)
        for kind in (ItemState, LeaseState, FileState)
        for state in kind
    },
    "CANCELABLE": _sql_set(CANCELABLE),
    "CAN_SETTLE": _sql_set(CAN_SETTLE),
    "CLAIMABLE": _sql_set(CLAIMABLE),
    "COUNTED": _counted(),
    "FINALIZABLE": _sql_set(FINALIZABLE),
    "HOLDING": _sql_set(HOLDING),
    "TERMINAL": _sql_set(TERMINAL),
}


# Threads: a cache; at worst two threads compute the same text.
@cache
def text(name: str, dialect: Dialect, *, frozen: bool, given: frozenset[str] = frozenset()) -> str:
    """The statement `name` for this dialect, with the optional lines of `given`."""
    lines = [
        line for line, wanted in _lines(name, dialect.name) if wanted is None or wanted in given
    ]
    now = dialect.frozen_now if frozen else dialect.now
    return filled(
        "\n".join(lines),
        dialect.name,
        now=now,
        slot=dialect.slot,
        by_state=dialect.by_state,
        gave_back=dialect.gave_back,
    )


def filled(text: str, dialect_name: str, **of_dialect: str) -> str:
    """The text with its `{NAME}` placeholders replaced."""
    in_flight = _Subquery("rows/pipeline_in_flight", "pipeline", dialect_name)
    return text.format(PIPELINE_IN_FLIGHT=in_flight, **of_dialect, **_STATES)


@dataclass(frozen=True, slots=True)
class _Subquery:
    """A statement that others contain, with an expression in place of its only parameter."""

    name: str
    parameter: str
    dialect_name: str

    def __getitem__(self, expression: str) -> str:
        text = "\n".join(line for line, _ in _lines(self.name, self.dialect_name))
        return text.format(**_STATES).replace(f"%({self.parameter})s", expression)


# Threads: as above.
@cache
def optional(name: str, dialect: Dialect) -> frozenset[str]:
    """The parameters on which optional lines of the statement depend."""
    return frozenset(wanted for _, wanted in _lines(name, dialect.name) if wanted is not None)


def _lines(name: str, dialect_name: str) -> Iterator[tuple[str, str | None]]:
    """The lines of a statement's file without its header, each with the parameter it depends on."""
    folder = files("joblot.ledger")
    path = folder / f"{name}.{dialect_name}.sql"
    if not path.is_file():
        path = folder / f"{name}.sql"
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


def can_commit_within(connection: BaseDatabaseWrapper) -> bool:
    """True if a message with a COMMIT ends the transaction that the caller has begun.

    Not inside another transaction, as a test's; and where statements are logged or wrapped, each is
    sent by itself.
    """
    return not (connection.savepoint_ids or _is_observed(connection))


def fetch_after_commit(
    connection: BaseDatabaseWrapper, name: str, /, **params: Any
) -> list[tuple[Any, ...]]:
    """Run the statements of `name`, one of which is COMMIT, in one message; the last one's rows.

    Ask `can_commit_within` first. Django's commit at the end of the block then finds nothing open.
    """
    dialect = dialect_of(connection)
    sql = text(name, dialect, frozen=False)
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, dialect.committing_cursor(connection) as cursor:
        cursor.execute(sql, params)
        while cursor.nextset():
            pass
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def execute_many(
    connection: BaseDatabaseWrapper,
    name: str,
    common: Mapping[str, Any],
    rows: Iterable[Mapping[str, str | int | bytes | None]],
) -> None:
    """Run the statement `name`, which returns no rows, for each of these parameters and `common`.

    Only those in `common` are adapted: of many rows it would cost more than the statement.
    """
    dialect, moment = dialect_of(connection), clock.frozen()
    shared = dict(common) if moment is None else {**common, "clock": moment}
    adapted = {key: dialect.adapted(connection, value) for key, value in shared.items()}
    with connection.cursor() as cursor:
        sql = text(name, dialect, frozen=moment is not None)
        cursor.executemany(sql, [{**row, **adapted} for row in rows])


@contextmanager
def _executed(connection: BaseDatabaseWrapper, name: str, params: dict[str, Any]) -> Iterator[Any]:
    moment = clock.frozen()
    if moment is not None:
        params["clock"] = moment
    dialect = dialect_of(connection)
    given = frozenset(one for one in optional(name, dialect) if params.get(one) is not None)
    adapted = {key: dialect.adapted(connection, value) for key, value in params.items()}
    sql = text(name, dialect, frozen=moment is not None, given=given)
    with _cursor(connection) as cursor:
        cursor.execute(sql, adapted)
        yield cursor


@contextmanager
def _cursor(connection: BaseDatabaseWrapper) -> Iterator[Any]:
    """A cursor: the driver's own, which costs less, if nobody logs or wraps the statements."""
    if _is_observed(connection):
        with connection.cursor() as cursor:
            yield cursor
        return
    connection.validate_thread_sharing()
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, dialect_of(connection).cursor(connection) as cursor:
        yield cursor


def _is_observed(connection: BaseDatabaseWrapper) -> bool:
    return bool(connection.queries_logged or connection.execute_wrappers)


def now_of(connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
    """The time in a statement that is put together, and its parameter, if it has one."""
    dialect, moment = dialect_of(connection), clock.frozen()
    if moment is None:
        return dialect.now, []
    return "%s", [dialect.adapted(connection, moment)]


def moment(value: Any) -> datetime:
    """A time from a row, timezone-aware. SQLite returns text, or a naive time in UTC."""
    read = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def json_value(value: Any) -> Any:
    """The value of a JSON column, perhaps Unreadable. Every database returns it as text."""
    return stored(value) if isinstance(value, str) else value
