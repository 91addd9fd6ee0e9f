"""An upgrade in the middle of a job: old and new servers and workers run side by side."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from subprocess import Popen

import psycopg
import pytest
from django.db import connections

from joblot.identity.tokens import issue
from joblot.ledger.read.audit import audit
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Event
from joblot.testing.postgres import PostgresServer
from tests.cli.conftest import Joblot, make_joblot
from tests.distributed.balancer import Balancer
from tests.distributed.next_release import MARK, NextRelease
from tests.distributed.test_several_servers import User, is_past, settled, status
from tests.polling import eventually
from tests.server.process import Serving

__all__ = ["make_joblot"]

pytestmark = pytest.mark.timeout(400)  # on a machine that does much else
OPEN_ITEMS = 200
STEP_ITEMS = 100  # between two steps of the upgrade
SERVERS = 2
WORKERS = 2
EXIT_SECONDS_MAX = 60
NOT_MIGRATED = 4  # the exit code


class Fleet:
    """Servers behind a proxy, and workers; each is replaced as an operator would."""

    def __init__(self, make: Callable[..., Joblot], url: str, release: NextRelease) -> None:
        token, _ = issue("fleet", ["work", "read"])
        self._stack = ExitStack()
        self.servers: list[Serving] = []
        self._open: list[Serving] = []  # that get new connections
        balancer = Balancer(lambda: [one.port for one in self._open])
        self.url = self._stack.enter_context(balancer).url
        self.old = make(JOBLOT_DATABASE_URL=url)
        self.new = make(JOBLOT_DATABASE_URL=url, PYTHONPATH=str(release.folder))
        access = {"JOBLOT_URL": self.url, "JOBLOT_TOKEN": token}
        self._old_worker = make(**access)
        self._new_worker = make(**access, PYTHONPATH=str(release.folder))
        for _ in range(SERVERS):
            self._serve(self.old)
        self.workers = [self._work(self._old_worker) for _ in range(WORKERS)]
        self.user = User(self.url, token)

    def replace_server(self) -> None:
        """The oldest one: the proxy passes it nothing more, then it ends."""
        self._serve(self.new)
        leaving = self.servers.pop(0)
        self._open.remove(leaving)
        seen = self.user.answers.total()
        eventually(lambda: self.user.answers.total() > seen + 1)  # none is on its way to it
        leaving.stop()
        assert leaving.exit_code() == 0
        assert "Traceback" not in "".join(leaving.said)

    def replace_worker(self) -> None:
        self.workers.append(self._work(self._new_worker))
        assert_ends_well(self.workers.pop(0))

    def close(self) -> None:
        self.user.end()
        self._stack.close()

    def _serve(self, joblot: Joblot) -> None:
        self.servers.append(self._stack.enter_context(Serving(joblot)))
        eventually(lambda: self.servers[-1].health().status_code == 200)
        self._open.append(self.servers[-1])

    def _work(self, joblot: Joblot) -> Popen[str]:
        return joblot.start("worker", "work:upper", "--pipeline", "upper")


@pytest.fixture
def release(tmp_path: Path) -> NextRelease:
    return NextRelease(tmp_path / "next")


@pytest.fixture
def fleet(
    durable_postgres: PostgresServer, make_joblot: Callable[..., Joblot], release: NextRelease
) -> Iterator[Fleet]:
    fleet = Fleet(make_joblot, durable_postgres.url("joblot"), release)
    yield fleet
    fleet.close()


class Supply:
    """Keeps the job in progress: adds items whenever few are open, until it is sealed."""

    def __init__(self) -> None:
        self.job = int(submit("upgraded", pipeline="upper", seal=False).pk)
        self.keys: list[str] = []  # Threads: appended to by one, read by others
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supply", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ends.wait(0.05):
                if len(self.keys) - settled(self.job) < OPEN_ITEMS:
                    more = [f"k{len(self.keys) + n}" for n in range(OPEN_ITEMS)]
                    add_items(self.job, more)
                    self.keys += more
            seal(self.job)
        finally:
            connections["postgres"].close()


@pytest.fixture
def supply(fleet: Fleet) -> Iterator[Supply]:
    supply = Supply()
    yield supply
    supply.end()


def test_an_upgrade_in_the_middle_of_a_job(
    fleet: Fleet, release: NextRelease, supply: Supply, durable_postgres: PostgresServer
) -> None:
    job = supply.job
    fleet.user.watch(job)

    def goes_on() -> None:
        eventually(partial(is_past, job, settled(job) + STEP_ITEMS))

    goes_on()
    assert "joblot migrate" in fleet.new("serve", "--port", "0", expect=NOT_MIGRATED).stderr
    fleet.new("migrate")
    goes_on()
    fleet.replace_server()
    fleet.replace_worker()
    goes_on()
    fleet.replace_server()
    fleet.replace_worker()
    goes_on()
    release.contract()
    fleet.new("migrate")
    goes_on()
    supply.end()
    eventually(lambda: status(job) == "SUCCESS")
    assert settled(job) == len(supply.keys)
    assert sorted(fleet.old.lines("calls")) == sorted(supply.keys), "each was worked on once"
    assert Event.objects.filter(job_id=job, kind="finished").count() == 1
    assert audit(job)["ok"]
    assert set(fleet.user.answers) == {200}
    assert fleet.user.settled == sorted(fleet.user.settled)
    for worker in fleet.workers:
        assert_ends_well(worker)
    assert not [one for one in fleet.servers if "Traceback" in "".join(one.said)]
    with psycopg.connect(durable_postgres.url("joblot")) as database:
        found = database.execute("SELECT DISTINCT release FROM joblot_lease").fetchall()
    assert set(found) == {("before",), (MARK,)}, "leases of both releases"


def assert_ends_well(process: Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=EXIT_SECONDS_MAX)
    assert (process.returncode, "Traceback" in said[1]) == (0, False), said
