"""A fan-out on real workers that are killed, with a broker and a result back-end that forget."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from joblot.ledger.read.audit import audit
from joblot.ledger.read.items import outputs
from joblot.ledger.read.progress import progress
from joblot.models import Event, Job
from joblot.states import TERMINAL
from tests.meta.sources import ROOT
from tests.polling import eventually
from tests.proc import children

ITEMS = 400
APP = "tests.distributed.celery.project"


@dataclass
class Broker:
    """A Redis server, and processes of Celery that use it."""

    folder: Path
    port: int
    server: subprocess.Popen[bytes]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.distributed.celery.settings",
            "JOBLOT_TEST_FOLDER": str(self.folder),
            "JOBLOT_TEST_REDIS": f"redis://127.0.0.1:{self.port}",
        }

    def celery(self, *args: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", APP, *args, "-l", "WARNING"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        name = f"worker{len(self.started)}@test"
        return self.celery("worker", "--concurrency", "2", "--hostname", name)

    def beat(self) -> subprocess.Popen[bytes]:
        return self.celery("beat")

    def fan_out(self, count: int = ITEMS) -> int:
        code = (
            f"from {APP} import callback, member; from joblot.contrib.celery import fan_out\n"
            f"items = ({{'key': str(n), 'payload': n}} for n in range({count}))\n"
            "policy = {'lease_seconds': 3, 'retry_backoff_seconds': 0.1, 'expiries_max': 50}\n"
            "print(fan_out(member, items, callback=callback, policy=policy).pk)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    def forget(self, database: int) -> None:
        with redis.Redis(port=self.port, db=database) as client:
            client.flushdb()

    def await_calls(self, more_than: int) -> None:
        eventually(lambda: len(self.noted("begun")) > more_than, seconds_max=120)

    def noted(self, file: str) -> list[str]:
        path = self.folder / file
        return path.read_text().splitlines() if path.exists() else []

    def end(self) -> None:
        for process in self.started:
            kill(process)
        self.server.kill()
        self.server.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def broker(tmp_path: Path, ledger_db: str) -> Iterator[Broker]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    files = ["--dir", str(tmp_path), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = subprocess.Popen(["redis-server", *files], stdout=subprocess.DEVNULL)
    one = Broker(tmp_path, port, server)
    eventually(one_answers(port))
    yield one
    one.end()


def one_answers(port: int) -> Any:
    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    return answers


def check(broker: Broker, job: int, count: int = ITEMS) -> None:
    """Every item is counted once, the job has finished once, and the callback was called once."""
    found = progress(job)
    assert (found["status"], found["stages"][0]["succeeded"]) == ("SUCCESS", count)
    assert audit(job)["ok"], audit(job)
    assert Event.objects.filter(job_id=job, kind="finished").count() == 1
    assert list(outputs(job)) == [(str(n), n * n) for n in range(count)]
    eventually(lambda: broker.noted("called"))
    called = eventually(lambda: Job.objects.exclude(pk=job).filter(status="SUCCESS").first())
    assert Job.objects.count() == 2
    assert called.name == "member: callback"
    assert broker.noted("called") == ["SUCCESS"]


def has_ended(job: int) -> Any:
    return lambda: progress(job)["status"] in TERMINAL


@pytest.mark.timeout(300)
def test_killed_workers_duplicates_retries_and_a_flushed_broker(broker: Broker) -> None:
    chance = random.Random(7)
    workers = [broker.worker(), broker.worker()]
    broker.beat()
    job = broker.fan_out()
    for done in (40, 100, 160, 220, 280):
        broker.await_calls(done)
        one = chance.choice(workers)
        if done == 160:  # a whole worker
            kill(one)
            workers[workers.index(one)] = broker.worker()
        elif done == 220:
            broker.forget(0)  # all messages
            broker.forget(1)  # all results
        elif pool := children(one.pid):
            os.kill(chance.choice(pool), signal.SIGKILL)
    eventually(has_ended(job), seconds_max=180)
    check(broker, job)
    assert len(broker.noted("begun")) > ITEMS  # some were worked on again


@pytest.mark.timeout(300)
def test_beat_is_lost_and_comes_back(broker: Broker) -> None:
    """Without it, what was begun goes on; what a killed worker held waits until it is back."""
    worker = broker.worker()
    beat = broker.beat()
    job = broker.fan_out(100)
    broker.await_calls(20)
    kill(beat)
    broker.await_calls(60)
    kill(worker)
    broker.forget(0)
    broker.worker()
    assert progress(job)["status"] == "STARTED"
    broker.beat()
    eventually(has_ended(job), seconds_max=120)
    check(broker, job, 100)
