"""Servers, workers and the database die at random; the job ends exact, and finishes once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import pytest
from django.db import connections

from joblot.ledger.read.audit import audit
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Event, Outcome
from joblot.testing.postgres import PostgresServer
from tests.cli.conftest import Joblot
from tests.distributed.balancer import Balancer
from tests.polling import eventually
from tests.proc import children
from tests.server.process import Serving
from tests.server.raw import TOKEN

SERVERS, WORKERS = 3, 8
ITEMS, BATCH = 20_000, 20
FAULTS = 24
DATABASE_DIES = (8, 17)  # of the faults
SECONDS_MAX = 300.0
POLICY = {"lease_seconds": 4, "expiries_max": 1_000}
WORK = """
import time

from joblot.worker import work


@work("p", batch=BATCH)
def double(payloads):
    time.sleep(0.02)
    return [2 * n for n in payloads]
""".replace("BATCH", str(BATCH))


@dataclass
class Fleet:
    """The processes of all machines. A dead one is replaced, as a supervisor does."""

    joblot: Joblot
    stack: ExitStack
    chance: random.Random
    servers: list[Serving] = field(default_factory=list)
    workers: list[subprocess.Popen[str]] = field(default_factory=list)
    url: str = ""
    started: int = 0

    def ports(self) -> list[int]:
        return [one.port for one in list(self.servers)]

    def add_server(self) -> Serving:
        return self.stack.enter_context(Serving(self.joblot))

    def add_worker(self) -> subprocess.Popen[str]:
        self.started += 1
        spool = str(self.joblot.folder / f"spool-{self.started}")
        return self.joblot.start("worker", "crew", "--url", self.url, "--spool", spool)

    def kill_server(self) -> None:
        place = self.chance.randrange(SERVERS)
        self.servers[place].kill()
        self.servers[place] = self.add_server()

    def kill_worker(self) -> None:
        """With its processes, as when its machine loses power."""
        place = self.chance.randrange(WORKERS)
        doomed = self.workers[place]
        for pid in (*children(doomed.pid), doomed.pid):
            _kill(pid)
        self.workers[place] = self.add_worker()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def fleet(joblot: Joblot, chance: random.Random) -> Iterator[Fleet]:
    joblot.write("crew.py", WORK)
    with ExitStack() as stack:
        one = Fleet(joblot, stack, chance)
        one.servers = [one.add_server() for _ in range(SERVERS)]
        one.url = stack.enter_context(Balancer(one.ports)).url
        one.workers = [one.add_worker() for _ in range(WORKERS)]
        yield one


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1])
def test_whatever_dies_the_job_ends_exact_and_finishes_once(
    durable_postgres: PostgresServer, make_joblot: Callable[..., Joblot], seed: int
) -> None:
    joblot = make_joblot(JOBLOT_DATABASE_URL=durable_postgres.url("joblot"), JOBLOT_TOKEN=TOKEN)
    items = ({"key": f"k{n}", "payload": n} for n in range(ITEMS))
    job = submit("storm", items, pipeline="p", policy=POLICY)
    with fleet(joblot, random.Random(seed)) as crew:
        for fault in range(FAULTS):
            eventually(
                partial(_has_settled, ITEMS * fault // (FAULTS + 1)), seconds_max=SECONDS_MAX
            )
            if fault in DATABASE_DIES:
                durable_postgres.stop("immediate")
                connections["postgres"].close()
                durable_postgres.start()
            else:
                crew.chance.choice([crew.kill_server, crew.kill_worker])()
        eventually(lambda: progress(job.pk)["finished_at"], seconds_max=SECONDS_MAX)
        said = [line for one in crew.servers for line in one.said]
    state = progress(job.pk)
    assert (state["status"], state["stages"][0]["succeeded"]) == ("SUCCESS", ITEMS)
    assert audit(job.pk)["ok"], audit(job.pk)
    assert Event.objects.filter(kind="finished").count() == 1
    outputs = Outcome.objects.values_list("number", "output")
    assert all(output == 2 * number for number, output in outputs)
    assert not [line for line in said if line.startswith("Traceback")], said


def _has_settled(items: int) -> bool:
    return bool(Outcome.objects.count() >= items)
