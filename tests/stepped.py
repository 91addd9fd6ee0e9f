"""The test build of joblot's functions: the same source, with a stop at each of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.ledger.db import functions
from joblot.ledger.db.dialect import dialect_of
from joblot.testing.interleave.postgres import plain_connection
from joblot.testing.interleave.psycopg_watch import WatchedConnection
from joblot.testing.interleave.steps import (
    DROP_STEP_FUNCTION,
    MARK,
    Gates,
    step_function,
    with_steps,
)


@contextmanager
def stepped(alias: str) -> Iterator[None]:
    """Inside the block the functions of this database have their steps."""
    if not dialect_of(connections[alias]).has_functions:
        yield
        return
    every = map(functions.source, functions.NAMES)
    sources = [source for source in every if MARK.search(source)]
    _run(alias, [step_function(), *map(with_steps, sources)])
    yield
    _run(alias, [*sources, DROP_STEP_FUNCTION])


@contextmanager
def watched(conn: BaseDatabaseWrapper, operation: Any) -> Iterator[None]:
    """Inside the block the connection calls `operation.step` at each step, and waits for it.

    The operation has the methods of one of the explorer's.
    """
    if conn.vendor != "postgresql":
        yield
        return
    conn.ensure_connection()
    raw: Any = conn.connection
    kind = type(raw)
    with plain_connection(conn, "keeper of the steps") as keeper:
        gates = Gates(keeper)
        WatchedConnection.watch(raw, operation, gates)
        try:
            yield
        finally:
            if not raw.closed:
                gates.let_go(raw)
                raw.remove_notice_handler(raw.note_step)
                raw.__class__ = kind


def _run(alias: str, statements: list[str]) -> None:
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture(autouse=True)
def stop_at_steps(request: pytest.FixtureRequest) -> Iterator[None]:
    """The functions of the database stop at their steps."""
    if "ledger_db" not in request.fixturenames:
        yield
        return
    with stepped(request.getfixturevalue("ledger_db")):
        yield
