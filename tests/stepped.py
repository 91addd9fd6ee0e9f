"""The test build of joblot's functions: the same source, with a stop at each of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connections

from joblot.ledger.db import functions
from joblot.ledger.db.dialect import dialect_of
from joblot.testing.interleave.steps import DROP_STEP_FUNCTION, MARK, step_function, with_steps


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
