"""PgBouncer in transaction mode that nobody declared: it accepts LISTEN, and delivers nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from joblot.dispatch import database
from joblot.testing.postgres import PostgresServer
from tests.field_reports.test_f28_pgbouncer import PORT, PROGRAM, _running

ECHO_SECONDS = 1.0


@pytest.fixture
def pooler(postgres_server: PostgresServer) -> Iterator[Path]:
    """The folder of its socket."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed")
    folder = postgres_server.home / "listening"
    folder.mkdir(mode=0o755)
    with _running(postgres_server, folder):
        yield folder
    shutil.rmtree(folder)


async def heard(backend: database.Database) -> bool:
    """Whether it trusts its connection, once it has proved it, or failed to."""
    decided = asyncio.Event()
    running = asyncio.create_task(backend.run(decided.set))
    await decided.wait()
    was_heard = backend.is_heard
    running.cancel()
    await asyncio.wait({running})
    return was_heard


@pytest.mark.parametrize("pooled", [False, True])
def test_notifications_are_trusted_only_where_they_arrive(
    postgres_only: str, pooler: Path, monkeypatch: pytest.MonkeyPatch, *, pooled: bool
) -> None:
    monkeypatch.setattr(database, "ECHO_SECONDS_MAX", ECHO_SECONDS if pooled else 60)
    backend = database.Database()
    if pooled:
        through = {"HOST": str(pooler), "PORT": str(PORT), "OPTIONS": {}}
        wrapper = backend._wrapper
        wrapper.settings_dict = {**wrapper.settings_dict, **through}
    assert asyncio.run(heard(backend)) is not pooled
