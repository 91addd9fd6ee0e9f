"""WK: the worker's side, and the worker's part of NT, IN and CT."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from joblot.cli.local_client import LocalClient
from joblot.ledger.lease import expire, expire_overdue
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.states import TERMINAL, LeaseState
from joblot.worker import Handler, HttpClient, Worker, WorkerSettings, batched, each
from joblot.worker.function import Work
from joblot.worker.spool import Spool
from tests.ledger.conftest import Clock
from tests.ledger.worker import counts, keys, status
from tests.meta.sources import ROOT
from tests.polling import eventually
from tests.threads import Threads
from tests.worker.conftest import server, token
from tests.worker.renewals import LEASE_SECONDS, Renewals
from tests.worker.server import Server

__all__ = ["server", "token"]


class Crew:
    """Workers in threads, for a server or the ledger itself; counts what they computed."""

    def __init__(self, in_thread: Threads) -> None:
        self._in_thread = in_thread
        self.calls: Counter[Any] = Counter()

    @contextmanager
    def working(self, work: Work, client: Any, batch: int = 1, **more: Any) -> Iterator[None]:
        parts = {name: more.pop(name) for name in ("spool", "spools", "on_frozen") if name in more}
        settings = WorkerSettings(idle_seconds_max=0.05, **more)
        worker = Worker(client, [Handler("p", work, batch)], settings, **parts)
        running = self._in_thread(worker.run)
        try:
            yield
        finally:
            worker.drain()
            running.result()

    def compute(self, key: Any) -> Any:
        self.calls[key] += 1
        return key

    def compute_all(self, given: list[Any]) -> list[Any]:
        return [self.compute(key) for key in given]


@pytest.fixture
def crew(in_thread: Threads) -> Crew:
    return Crew(in_thread)


def ended(job: Any) -> str:
    eventually(lambda: progress(job.pk)["status"] in TERMINAL)
    return status(job)


def ended_without_expiry(job: Any) -> str:
    """No lease may expire meanwhile."""

    def look() -> bool:
        assert expire_overdue() == 0
        return progress(job.pk)["status"] in TERMINAL

    eventually(look)
    return status(job)


DIES = """
import os, signal, sys
from joblot.worker import HttpClient, Worker, WorkerSettings, handler

def dies(given):
    os.kill(os.getpid(), signal.SIGKILL)

with HttpClient(sys.argv[1], os.environ["JOBLOT_TOKEN"]) as client:
    Worker(client, [handler("p", dies, batch=100)]).run()
"""


def test_WK1_a_killed_worker_that_held_100_items_costs_a_new_lease(
    ledger_db: str, server: Server, token: str, crew: Crew
) -> None:
    job = submit("wk1", keys(100), pipeline="p")
    environment = os.environ | {"JOBLOT_TOKEN": token}
    command = [sys.executable, "-c", DIES, server.url]
    killed = subprocess.run(command, cwd=ROOT, env=environment, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    held = Lease.objects.get(state=LeaseState.LIVE)
    assert held.size == 100
    assert expire(held.pk)
    with crew.working(batched(crew.compute_all), LocalClient(), batch=50):
        assert ended(job) == "SUCCESS"
    assert crew.calls == Counter(keys(100))


def test_WK2_a_worker_that_hangs_while_its_process_lives_loses_its_lease(
    ledger_db: str, crew: Crew
) -> None:
    job = submit("wk2", keys(1), pipeline="p", policy={"lease_seconds": 0.5})
    go_on, frozen = threading.Event(), threading.Event()

    def hangs(key: str) -> str:
        assert go_on.wait(30)
        return "too late"

    more: dict[str, Any] = {"item_seconds_max": 0.1, "on_frozen": lambda seconds: frozen.set()}
    with crew.working(each(hangs), LocalClient(), **more):
        assert frozen.wait(30)
        eventually(expire_overdue)
        with crew.working(each(crew.compute), LocalClient()):
            assert ended(job) == "SUCCESS"
        go_on.set()
    assert crew.calls == Counter(keys(1))


def test_WK3_a_batch_that_does_not_fit_is_done_one_by_one(ledger_db: str, crew: Crew) -> None:
    job = submit("wk3", keys(24), pipeline="p", policy={"failures_max": 1})

    def model(batch: list[str]) -> list[str]:
        if len(batch) > 1:
            raise MemoryError("CUDA out of memory")
        return crew.compute_all(batch)

    with crew.working(batched(model), LocalClient(), batch=24):
        assert ended(job) == "SUCCESS"
    assert crew.calls == Counter(keys(24))


def test_WK4_a_server_that_answers_too_late_costs_no_computing(
    ledger_db: str, server: Server, token: str, crew: Crew, tmp_path: Path
) -> None:
    """It has saved the results when the worker gives up waiting and posts them again."""
    job = submit("wk4", keys(30), pipeline="p")
    answers, slow = threading.Event(), threading.Event()

    def answers_late(path: str) -> None:
        if path == "results" and not slow.is_set():
            slow.set()
            assert answers.wait(30)

    server.network.on_request = answers_late
    spool = Spool.begin(tmp_path)
    with (
        HttpClient(server.url, token, call_seconds_max=0.5) as client,
        crew.working(each(crew.compute), client, spool=spool),
    ):
        assert slow.wait(30)
        eventually(lambda: server.network.paths("results") >= 2)
        answers.set()
        assert ended(job) == "SUCCESS"
    assert crew.calls == Counter(keys(30))
    assert list(tmp_path.iterdir()) == []


def test_WK4_a_worker_that_ends_before_its_results_are_taken_leaves_them_to_the_next(
    ledger_db: str, server: Server, token: str, crew: Crew, tmp_path: Path
) -> None:
    job = submit("wk4", keys(10), pipeline="p")
    server.network.refuse["results"] = b"HTTP/1.0 503 Away\r\n\r\n"
    work = batched(crew.compute_all)
    with HttpClient(server.url, token) as client:
        more: dict[str, Any] = {"batch": 10, "drain_seconds_max": 0.0}
        with crew.working(work, client, spool=Spool.begin(tmp_path), **more):
            eventually(lambda: server.network.paths("results"))
        server.network.refuse.clear()
        with crew.working(work, client, spools=tmp_path):
            assert ended(job) == "SUCCESS"
    assert crew.calls == Counter(keys(10))


def test_WK5_one_odd_item_fails_alone_and_with_its_cause(ledger_db: str, crew: Crew) -> None:
    job = submit("wk5", keys(8), pipeline="p")

    def stack(batch: list[str]) -> list[str]:
        if "k3" in batch:
            raise ValueError("stack expects each image to be of equal size")
        return batch

    with crew.working(batched(stack), LocalClient(), batch=8):
        assert ended(job) == "COMPLETED_WITH_ERRORS"
    assert counts(job) == {"succeeded": 7, "failed": 1}
    (odd,) = items(job.pk, state="failed")
    assert odd["key"] == "k3"
    assert "equal size" in odd["outcomes"][0]["error"]["message"]


def test_NT3_a_worker_renews_while_an_item_takes_many_leases(
    ledger_db: str, crew: Crew, clock: Clock
) -> None:
    job = submit("nt3", keys(1), pipeline="p", policy={"lease_seconds": LEASE_SECONDS})
    renewals = Renewals(clock)

    def slow(key: str) -> str:
        renewals.wait(10)  # two renewals take as long as a lease
        return str(crew.compute(key))

    with crew.working(each(slow), renewals):
        assert ended_without_expiry(job) == "SUCCESS"
    assert renewals.every_seconds < LEASE_SECONDS
    assert crew.calls == Counter(keys(1))


def test_NT4_answers_to_claims_that_are_lost_twice_burn_nothing(
    ledger_db: str, server: Server, token: str, crew: Crew
) -> None:
    policy = {"failures_max": 1, "expiries_max": 1}
    job = submit("nt4", keys(4), pipeline="p", policy=policy)
    server.network.lose_answers["claims"] = 2
    with (
        HttpClient(server.url, token) as client,
        crew.working(each(crew.compute), client),
    ):
        assert ended(job) == "SUCCESS"
    assert crew.calls == Counter(keys(4))


def test_NT8_a_worker_backs_off_from_a_server_that_is_away(
    ledger_db: str, server: Server, token: str, crew: Crew
) -> None:
    """As long as it is asked to, with growing delays; the job is unchanged."""
    job = submit("nt8", keys(4), pipeline="p")
    server.network.refuse["claims"] = b"HTTP/1.0 503 Away\r\nRetry-After: 600\r\n\r\n"
    with HttpClient(server.url, token) as client:
        with crew.working(each(crew.compute), client):
            eventually(lambda: server.network.paths("claims"))
        assert server.network.paths("claims") == 1
        assert (status(job), counts(job)) == ("PENDING", {})
        server.network.refuse.clear()
        with crew.working(each(crew.compute), client):
            assert ended(job) == "SUCCESS"


def test_IN1_a_report_that_is_too_large_is_split_and_computed_once(
    ledger_db: str, server: Server, token: str, crew: Crew
) -> None:
    job = submit("in1", keys(32), pipeline="p")
    server.network.body_bytes_max = 700  # the limit of a proxy
    with (
        HttpClient(server.url, token) as client,
        crew.working(batched(crew.compute_all), client, batch=32),
    ):
        assert ended(job) == "SUCCESS"
    assert crew.calls == Counter(keys(32))
    sizes = [size for path, _, size in server.network.seen if path == "results"]
    assert max(sizes) > 700
    assert len(sizes) > 4


def test_CT7_a_network_that_swallows_all_is_waited_for_less_long_than_a_lease(
    ledger_db: str, server: Server, token: str, crew: Crew
) -> None:
    """A call times out long before a lease ends, so a renewal is retried in time."""
    job = submit("ct7", keys(2), pipeline="p", policy={"lease_seconds": 10.0})
    swallowed, go_on = threading.Event(), threading.Event()

    def swallows(path: str) -> None:
        if path == "renew" and not swallowed.is_set():
            swallowed.set()
            go_on.wait(30)

    def slow(key: str) -> str:
        assert swallowed.wait(30)
        eventually(lambda: server.network.paths("renew") >= 2)
        return str(crew.compute(key))

    server.network.on_request = swallows
    with (
        HttpClient(server.url, token) as client,
        crew.working(each(slow), client),
    ):
        assert ended_without_expiry(job) == "SUCCESS"
        go_on.set()
    assert crew.calls == Counter(keys(2))
