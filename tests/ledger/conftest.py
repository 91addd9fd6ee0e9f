"""Fixtures for the ledger's tests; after each test, every job is audited and recounted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from joblot import config
from joblot.clock import set_clock
from joblot.ledger.read.audit import audit
from joblot.ledger.report import hooks
from joblot.models import Job
from joblot.testing.simulator import recount


@pytest.fixture(autouse=True)
def exact(request: pytest.FixtureRequest) -> Iterator[None]:
    """The invariants hold after the test."""
    if "ledger_db" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("ledger_db")
    yield
    for job in Job.objects.filter(deleted_at__isnull=True):
        found = audit(job.pk)
        assert found["ok"], [check for check in found["checks"] if not check["ok"]]
    recount.check_all()


@pytest.fixture(autouse=True)
def own_hooks() -> Iterator[None]:
    """Hooks that a test registers are removed after it."""
    registries: list[dict[str, Any]] = [hooks._on_result, hooks._on_late, hooks._on_event]
    before = [dict(registry) for registry in registries]
    yield
    for registry, known in zip(registries, before, strict=True):
        registry.clear()
        registry.update(known)


@pytest.fixture
def configure() -> Iterator[Callable[..., None]]:
    """`configure(add_chunk_items=3)` works like `settings.JOBLOT`; undone after the test."""
    yield lambda **settings: config.configure(settings)
    config.configure({})


@pytest.fixture
def caches_kept(configure: Callable[..., None]) -> None:
    """What claims remember does not become stale while a busy machine goes from one to the next."""
    long = 3_600.0
    configure(candidates_seconds=long, range_floor_seconds=long, range_floor_step_seconds=long)


class Clock:
    """A clock that stands still until it is moved forward."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self._frozen = ExitStack()
        self._frozen.enter_context(set_clock(self.now))

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._frozen.enter_context(set_clock(self.now))

    def release(self) -> None:
        self._frozen.close()


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.release()


@pytest.fixture
def saved(ledger_db: str) -> Iterator[Callable[[], dict[str, str]]]:
    """An adopter's table `saved_row(key, value)`; the fixture is a function that reads it."""
    connection = connections[ledger_db]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE saved_row (key varchar(100) PRIMARY KEY, value text)")

    def rows() -> dict[str, str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT key, value FROM saved_row")
            return dict(cursor.fetchall())

    yield rows
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE saved_row")
