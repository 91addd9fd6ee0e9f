"""The theatre for concurrent verbs; its scenes last as long as the process and its databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interleave.play import Theatre
from tests.stepped import stop_at_steps

__all__ = ["orders", "stop_at_steps", "theatre"]


@pytest.fixture(scope="session")
def theatre(request: pytest.FixtureRequest) -> Iterator[Theatre]:
    theatre = Theatre(to_the_end=request.config.getoption("--interleave") != "quick")
    yield theatre
    theatre.close()


@pytest.fixture
def orders(request: pytest.FixtureRequest) -> str:
    """How many orders are tried: `quick`, `full` or `deep`."""
    return str(request.config.getoption("--interleave"))
