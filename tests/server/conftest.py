"""A server in this process, and `joblot serve` in its own process; after each test, every
job is audited and recounted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from joblot.ledger.submit.submit import submit
from joblot.local import ACCEPTED
from joblot.models import Job
from tests.cli.conftest import joblot, joblot_on_postgres, make_joblot
from tests.ledger.conftest import configure, exact, own_hooks
from tests.server.raw import write_token
from tests.server.served import Served

__all__ = [
    "configure",
    "exact",
    "joblot",
    "joblot_on_postgres",
    "make_joblot",
    "own_hooks",
]


@pytest.fixture
def local(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept the local token, like `joblot serve`; large outputs are in a folder of the test."""
    settings.MEDIA_ROOT = str(tmp_path)
    monkeypatch.setenv(ACCEPTED, str(write_token(tmp_path / "token")))


@pytest.fixture
def job(ledger_db: str) -> Job:
    """An open job without items."""
    return submit("stream", pipeline="p", seal=False)


@pytest.fixture
def served(ledger_db: str, local: None) -> Iterator[Served]:
    with Served() as served:
        yield served


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client
