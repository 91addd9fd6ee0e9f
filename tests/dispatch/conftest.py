"""A server that listens for work, and waits so long between polls that only that wakes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.dispatch.nats_server import NatsServer
from tests.ledger.conftest import configure, exact, own_hooks
from tests.polling import eventually
from tests.server.conftest import local
from tests.server.served import Served

__all__ = ["configure", "exact", "local", "own_hooks"]

NEVER_SECONDS = 3_600.0


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One for all tests that leave it running."""
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server.start()


@pytest.fixture
def listening(postgres_only: str, local: None, configure: Callable[..., None]) -> Iterator[Served]:
    configure(waiting_poll_seconds=NEVER_SECONDS)
    with Served() as served:
        eventually(lambda: served.process.dispatch.is_up)
        yield served


@pytest.fixture
def http(listening: Served) -> Iterator[httpx.Client]:
    with listening.client() as client:
        yield client
