"""The theatre for concurrent verbs; its scenes last as long as the process and its databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interleave.play import Theatre
from tests.stepped import stepped


@pytest.fixture(scope="session")
def theatre(request: pytest.FixtureRequest) -> Iterator[Theatre]:
    theatre = Theatre(to_the_end=request.config.getoption("--interleave") != "quick")
    yield theatre
    theatre.close()


@pytest.fixture
def orders(request: pytest.FixtureRequest) -> str:
    """How many orders are tried: `quick`, `full` or `deep`."""
    return str(request.config.getoption("--interleave"))


@pytest.fixture(autouse=True)
def with_steps(request: pytest.FixtureRequest) -> Iterator[None]:
    """The functions of the database stop at their steps."""
    if "ledger_db" not in request.fixturenames:
        yield
        return
    with stepped(request.getfixturevalue("ledger_db")):
        yield
