"""The theatre for concurrent verbs; its scenes last as long as the process and its databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interleave.play import Theatre


@pytest.fixture(scope="session")
def theatre(request: pytest.FixtureRequest) -> Iterator[Theatre]:
    theatre = Theatre(to_the_end=request.config.getoption("--interleave") != "quick")
    yield theatre
    theatre.close()


@pytest.fixture
def orders(request: pytest.FixtureRequest) -> str:
    """How many orders are tried: `quick`, `full` or `deep`."""
    return str(request.config.getoption("--interleave"))
