"""The race tests use the ledger's fixtures: after each, every job is audited and recounted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ledger.conftest import clock, configure, exact, own_hooks, saved
from tests.stepped import stepped

__all__ = ["clock", "configure", "exact", "own_hooks", "saved"]


@pytest.fixture(autouse=True)
def with_steps(request: pytest.FixtureRequest) -> Iterator[None]:
    """The functions of the database stop at their steps."""
    if "ledger_db" not in request.fixturenames:
        yield
        return
    with stepped(request.getfixturevalue("ledger_db")):
        yield
