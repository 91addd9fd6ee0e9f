"""PgBouncer in transaction mode: servers and workers behind it, and one that nobody declared."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from joblot.dispatch import database
from joblot.identity.tokens import issue
from joblot.ledger.read.progress import progress
from joblot.testing.postgres import PostgresServer
from tests.cli.conftest import Joblot, make_joblot
from tests.ledger.conftest import exact
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.pooler import PORT, pooling, url_through
from tests.server.process import Serving

__all__ = ["exact", "make_joblot"]

pytestmark = pytest.mark.timeout(400)  # on a machine that does much else
ITEMS = 3_000
WORKERS = 3
ECHO_SECONDS = 1.0
EXIT_SECONDS_MAX = 60


@pytest.fixture
def pooler(postgres_server: PostgresServer) -> Iterator[Path]:
    """The folder of its socket."""
    with pooling(postgres_server, "listening") as folder:
        yield folder


@pytest.fixture
def serving(
    postgres_only: str, pooler: Path, make_joblot: Callable[..., Joblot]
) -> Iterator[Serving]:
    """`joblot serve` without a Django project; it knows of the pooler by its URL."""
    url = f"{url_through(pooler, 'joblot')}&pgbouncer=true"
    with Serving(make_joblot(JOBLOT_DATABASE_URL=url)) as serving:
        yield serving


def test_a_server_and_its_workers_behind_it(
    serving: Serving, make_joblot: Callable[..., Joblot]
) -> None:
    """Each transaction may get another session, of only four."""
    token, _ = issue("worker", ["work"])
    there = make_joblot(JOBLOT_URL=serving.url, JOBLOT_TOKEN=token)
    workers = [there.start("worker", "work:upper", "--pipeline", "p") for _ in range(WORKERS)]
    items = [{"key": key} for key in keys(ITEMS)]
    asked = {"name": "pooled", "pipeline": "p", "items": items[:1_000], "seal": False}
    job = serving.post("jobs", asked, expect=201)["id"]
    for begin in range(1_000, ITEMS, 1_000):
        serving.post(f"jobs/{job}/items", {"items": items[begin : begin + 1_000]})
    serving.post(f"jobs/{job}/seal")
    eventually(lambda: progress(job)["status"] == "SUCCESS")
    assert progress(job)["stages"][0]["succeeded"] == ITEMS
    assert sorted(there.lines("calls")) == sorted(keys(ITEMS)), "each was worked on once"
    for process in workers:
        assert_ends_well(process)
    serving.stop()
    assert serving.exit_code() == 0
    assert "Traceback" not in "".join(serving.said)


def assert_ends_well(process: Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=EXIT_SECONDS_MAX)
    assert (process.returncode, "Traceback" in said[1]) == (0, False), said


async def heard(backend: database.Database) -> bool:
    """Whether it trusts its connection, once it has proved it, or failed to."""
    decided = asyncio.Event()
    running = asyncio.create_task(backend.run(decided.set))
    await decided.wait()
    was_heard = backend.is_up
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
