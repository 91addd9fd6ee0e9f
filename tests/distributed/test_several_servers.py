"""Three servers and several workers on one PostgreSQL; any of them is killed, at any time."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from subprocess import Popen
from typing import Any

import httpx
import pytest
from django.db import DatabaseError, connections

from joblot.errors import Unavailable
from joblot.identity.tokens import issue
from joblot.ledger.read.audit import audit
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Event
from joblot.states import TERMINAL
from joblot.testing.postgres import PostgresServer
from tests.cli.conftest import Joblot, make_joblot
from tests.distributed.balancer import Balancer
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.server.process import Serving

__all__ = ["make_joblot"]

LONG = bool(os.environ.get("JOBLOT_TEST_LONG"))  # `make test-distributed LONG=1`
ITEMS = 100_000 if LONG else 12_000
SERVERS = 3
WORKERS = 8
KILLS = 60 if LONG else 16  # at equal shares of the items; in the middle PostgreSQL crashes, too
LEASE_SECONDS = 5
SEEN_BY_USERS = {200, 502, 503}  # the second is the balancer's clients' own, of a cut connection
SECONDS_MAX = 900 if LONG else 300


class Crowd:
    """The servers and the workers, each of which may be killed and started again."""

    def __init__(self, make: Callable[..., Joblot], database: str, token: str) -> None:
        self._joblot = make(JOBLOT_DATABASE_URL=database)
        self._stack = ExitStack()
        self.servers = [self._serving() for _ in range(SERVERS)]
        self._ports = {one: one.port for one in self.servers}
        self.balancer = self._stack.enter_context(Balancer(lambda: list(self._ports.values())))
        self._worker = make(JOBLOT_URL=self.balancer.url, JOBLOT_TOKEN=token)
        self.workers = [self._working() for _ in range(WORKERS)]

    def kill_one(self, chance: random.Random) -> None:
        """A server, or a worker with its processes; another is started in its place."""
        if chance.random() < 0.5:
            place = chance.randrange(SERVERS)
            dead = self.servers[place]
            dead.kill()
            del self._ports[dead]
            self.servers[place] = new = self._serving()
            self._ports[new] = new.port
        else:
            place = chance.randrange(WORKERS)
            self.workers[place].kill()
            self.workers[place] = self._working()

    def close(self) -> None:
        self._stack.close()

    def _serving(self) -> Serving:
        return self._stack.enter_context(Serving(self._joblot))

    def _working(self) -> Popen[str]:
        return self._worker.start("worker", "work:upper", "--pipeline", "upper")


@pytest.fixture
def crowd(durable_postgres: PostgresServer, make_joblot: Callable[..., Joblot]) -> Iterator[Crowd]:
    token, _ = issue("worker", ["work", "read"])
    crowd = Crowd(make_joblot, durable_postgres.url("joblot"), token)
    yield crowd
    crowd.close()


class User:
    """Reads the progress of a job all the time, and keeps what the servers answered."""

    def __init__(self, url: str, token: str) -> None:
        self.answers: Counter[int] = Counter()
        self.settled: list[int] = []
        self._jobs = f"{url}/api/v1/jobs"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, job: int) -> None:
        self._thread = threading.Thread(target=self._watch, args=(job,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ends.set()
        if self._thread is not None:
            self._thread.join(30)
            assert not self._thread.is_alive()

    def _watch(self, job: int) -> None:
        while not self._ends.wait(0.1):
            try:
                answer = httpx.get(
                    f"{self._jobs}/{job}", headers=self._headers, timeout=20, trust_env=False
                )
            except httpx.HTTPError:
                self.answers[502] += 1
                continue
            self.answers[answer.status_code] += 1
            if answer.status_code == 200:
                self.settled.append(answer.json()["stages"][0]["succeeded"])


@pytest.mark.timeout(1_800 if LONG else 900)
def test_whatever_is_killed_the_counts_are_exact(
    durable_postgres: PostgresServer, crowd: Crowd
) -> None:
    chance = random.Random(14)
    job = submit("many", keys(ITEMS), pipeline="upper", policy={"lease_seconds": LEASE_SECONDS})
    token, _ = issue("user", ["read"])
    user = User(crowd.balancer.url, token)
    user.watch(job.pk)
    try:
        for kill in range(1, KILLS + 1):
            eventually(partial(is_past, job.pk, ITEMS * kill // (KILLS + 1)))
            crowd.kill_one(chance)
            if kill == KILLS // 2:
                durable_postgres.restart("immediate")
        eventually(lambda: status(job.pk) in TERMINAL, seconds_max=SECONDS_MAX)
    finally:
        user.end()
    assert (status(job.pk), settled(job.pk)) == ("SUCCESS", ITEMS)
    assert Event.objects.filter(job_id=job.pk, kind="finished").count() == 1
    assert audit(job.pk)["ok"]
    assert set(user.answers) <= SEEN_BY_USERS, user.answers
    assert user.answers[200]
    assert user.settled == sorted(user.settled), "a count that was seen has decreased"


def is_past(job: int, items: int) -> bool:
    return settled(job) >= items


def settled(job: int) -> int:
    return int(_progress(job)["stages"][0]["succeeded"])


def status(job: int) -> str:
    return str(_progress(job)["status"])


def _progress(job: int) -> dict[str, Any]:
    """Also of a database that has just been restarted."""

    def read() -> dict[str, Any] | None:
        try:
            return progress(job)
        except (Unavailable, DatabaseError):
            connections["postgres"].close()
            return None

    return eventually(read)
