"""The mirror saves reads and decides nothing: without Redis, the answers are the ledger's."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connections
from django.test.utils import CaptureQueriesContext

from joblot.contrib.redis import Mirror
from joblot.contrib.redis import mirror as module
from joblot.errors import NotFound
from joblot.ledger.job.lifecycle import delete, pause, resume
from joblot.ledger.read.audit import audit
from joblot.ledger.read.history import events
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from tests.ledger.worker import drain, keys, lease, succeed
from tests.polling import eventually
from tests.threads import Threads

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="there is no redis-server"
)
LONG = 3600.0  # seconds: what is kept is not read again within a test


class Server:
    """A Redis server of the test's own, at a socket."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", "0", "--unixsocket", str(self._socket)]
        command += ["--save", "", "--dir", str(self._socket.parent)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        eventually(self.answers)

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    @property
    def client(self) -> Any:
        return redis.Redis.from_url(self.url)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.kill()


class Ahead:
    """The mirror's clock, ahead of the system's."""

    seconds = 0.0

    def time(self) -> float:
        return time.time() + self.seconds


def mirror(
    server: Server,
    *,
    fresh_seconds: float = LONG,
    away_seconds: float = 1.0,
) -> Mirror:
    return Mirror(
        server.url,
        fresh_seconds=fresh_seconds,
        away_seconds=away_seconds,
        kept_seconds=LONG,
        call_seconds_max=10.0,  # on a busy machine
    )


def job_of(items: int) -> int:
    return int(submit("mirrored", keys(items), pipeline="p").pk)


def statements(ledger_db: str, reader: Mirror, job: int, reads: int = 1) -> int:
    with CaptureQueriesContext(connections[ledger_db]) as caught:
        for _ in range(reads):
            reader.progress(job)
    return len(caught)


def done(state: dict[str, Any]) -> int:
    return int(state["stages"][0]["succeeded"])


def test_many_reads_cost_the_ledger_one(ledger_db: str, server: Server) -> None:
    job = job_of(3)
    assert statements(ledger_db, mirror(server), job) == 1
    assert statements(ledger_db, mirror(server), job, reads=50) == 0, "other processes' reads too"
    assert mirror(server).progress(job) == mirror(server).progress(job)


def test_what_is_no_longer_fresh_is_read_again(ledger_db: str, server: Server) -> None:
    job = job_of(3)
    reader = mirror(server, fresh_seconds=0.001)
    assert done(reader.progress(job)) == 0
    drain("p")
    assert eventually(lambda: done(reader.progress(job))) == 3


def test_a_flush_changes_no_answer(ledger_db: str, server: Server) -> None:
    job = job_of(4)
    reader = mirror(server)
    reader.progress(job)
    succeed(lease("p", limit=2))
    server.client.flushall()
    assert done(reader.progress(job)) == 2
    server.client.flushall()
    drain("p")
    assert reader.progress(job)["status"] == "SUCCESS"
    assert audit(job)["ok"]


def test_without_redis_the_ledger_answers_and_redis_is_left_alone(
    ledger_db: str, server: Server
) -> None:
    job = job_of(2)
    reader = mirror(server, away_seconds=LONG)
    reader.progress(job)
    server.kill()
    drain("p")
    assert reader.progress(job)["status"] == "SUCCESS"
    server.start()
    reader.progress(job)
    assert server.client.dbsize() == 0, "not asked again so soon"
    assert mirror(server).progress(job)["status"] == "SUCCESS"
    assert server.client.dbsize() == 2


@pytest.mark.parametrize("body", ["no JSON", "[]", "7", '{"id": 0, "status": "SUCCESS"}'])
def test_what_is_no_copy_of_the_job_is_not_believed(
    ledger_db: str, server: Server, body: str
) -> None:
    job = job_of(1)
    reader = mirror(server)
    reader.progress(job)
    server.client.hset(f"joblot:progress:{job}", "body", body)
    assert reader.progress(job)["status"] == "PENDING"
    server.client.delete(f"joblot:progress:{job}")
    server.client.set(f"joblot:progress:{job}", body)
    assert reader.progress(job)["status"] == "PENDING", "a value of another type"


def test_an_older_snapshot_does_not_replace_a_newer_one(ledger_db: str, server: Server) -> None:
    job = job_of(1)
    reader = mirror(server)
    slow = progress(job)
    drain("p")
    reader.progress(job)
    at = round(datetime.fromisoformat(slow["as_of"]).timestamp() * 1e6)
    reader._copies.write(f"progress:{job}", at, slow, LONG)
    assert reader.progress(job)["status"] == "SUCCESS"
    assert json.loads(server.client.hget(f"joblot:progress:{job}", "body")) != slow


def test_a_deleted_job_is_not_there(ledger_db: str, server: Server) -> None:
    job = job_of(1)
    reader = mirror(server, fresh_seconds=0.001)
    reader.progress(job)
    delete(job)

    def is_gone() -> bool:
        try:
            reader.progress(job)
        except NotFound:
            return True
        return False

    assert eventually(is_gone)
    assert server.client.exists(f"joblot:progress:{job}") == 0


def test_followers_see_the_end_also_if_redis_dies(
    ledger_db: str, server: Server, in_thread: Threads
) -> None:
    job = job_of(6)
    seen: list[int] = []

    def follow() -> str:
        for state in mirror(server, fresh_seconds=0.01, away_seconds=0.01).follow(job):
            seen.append(done(state))
            status = state["status"]
        return str(status)

    follower = in_thread(follow)
    eventually(lambda: seen[-1:] == [0])
    succeed(lease("p", limit=3))
    eventually(lambda: seen[-1:] == [3])
    server.kill()
    drain("p")
    assert follower.result() == "SUCCESS"
    assert (seen == sorted(seen), seen[-1]) == (True, 6), "it does not go back"


class TestEvents:
    """Each reader gets each event once and in order, whatever becomes of Redis."""

    def test_many_reads_cost_the_ledger_one(self, ledger_db: str, server: Server) -> None:
        job = job_of(3)
        assert mirror(server).events(job) == events(job)
        with CaptureQueriesContext(connections[ledger_db]) as caught:
            for _ in range(50):
                assert [one["kind"] for one in mirror(server).events(job)] == ["started"]
        assert len(caught) == 0

    def test_what_is_no_longer_fresh_is_read_from_where_it_ended(
        self, ledger_db: str, server: Server
    ) -> None:
        job = job_of(3)
        reader = mirror(server, fresh_seconds=0.001)
        known = reader.events(job)
        pause(job)
        assert eventually(lambda: reader.events(job, after=known[-1]["id"]))[0]["kind"] == "paused"
        assert reader.events(job) == events(job)

    def test_a_copy_holds_the_newest_and_the_ledger_has_the_others(
        self, ledger_db: str, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "EVENTS_MAX", 2)
        monkeypatch.setattr(module, "PAGE_EVENTS", 3)
        job = job_of(3)
        drain_one(job)
        for _ in range(3):
            pause(job)
            resume(job)
        assert mirror(server).events(job) == events(job)
        *_, third, _, _ = events(job)
        with CaptureQueriesContext(connections[ledger_db]) as caught:
            assert len(mirror(server).events(job, after=third["id"])) == 2
        assert len(caught) == 0

    def test_what_the_ledger_has_lost_is_gone_once_the_copy_has_aged(
        self, ledger_db: str, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As after a standby was promoted that had not got them."""
        now = Ahead()
        monkeypatch.setattr(module, "time", now)
        job = job_of(3)
        reader = mirror(server, fresh_seconds=0.001)
        last = events(job)[-1]["id"]
        invented = [*events(job), {"id": last + 9, "kind": "finished"}]
        copy = {"id": job, "until": now.time() + LONG / 2, "after": 0, "events": invented}
        copy["ended"] = False
        reader._copies.write(f"events:{job}", last + 9, copy, LONG)
        assert reader.events(job) == invented
        now.seconds = 0.6 * LONG
        eventually(lambda: reader.events(job) == events(job))

    @pytest.mark.parametrize(
        "change",
        [
            {"id": 0},
            {"events": 7},
            {"events": [{}]},
            {"after": None},
            {"until": "later"},
            {"ended": None},
        ],
    )
    def test_what_is_no_copy_of_the_job_is_not_believed(
        self, ledger_db: str, server: Server, change: dict[str, Any]
    ) -> None:
        job = job_of(1)
        reader = mirror(server)
        reader.events(job)
        copy = json.loads(server.client.hget(f"joblot:events:{job}", "body"))
        server.client.hset(f"joblot:events:{job}", "body", json.dumps(copy | change))
        assert reader.events(job) == events(job)

    def test_a_deleted_job_is_not_there(self, ledger_db: str, server: Server) -> None:
        job = job_of(1)
        reader = mirror(server, fresh_seconds=0.001)
        reader.events(job)
        delete(job)

        def is_gone() -> bool:
            try:
                reader.events(job)
            except NotFound:
                return True
            return False

        assert eventually(is_gone)
        assert server.client.exists(f"joblot:events:{job}") == 0

    def test_the_end_costs_the_ledger_nothing_more_for_each_follower(
        self, ledger_db: str, server: Server
    ) -> None:
        job = job_of(3)
        drain("p")
        assert list(mirror(server).follow_events(job)) == events(job)
        with CaptureQueriesContext(connections[ledger_db]) as caught:
            for _ in range(50):
                *_, last = mirror(server).follow_events(job)
                assert last["kind"] == "finished"
        assert len(caught) == 0

    @pytest.mark.parametrize("fault", ["none", "flushed", "killed"])
    def test_a_follower_gets_each_once_until_the_end(
        self, ledger_db: str, server: Server, in_thread: Threads, fault: str
    ) -> None:
        job = job_of(6)
        seen: list[dict[str, Any]] = []

        def follow() -> None:
            reader = mirror(server, fresh_seconds=0.01, away_seconds=0.01)
            seen.extend(reader.follow_events(job))

        follower = in_thread(follow)
        eventually(lambda: len(seen) == 1)
        pause(job)
        eventually(lambda: len(seen) == 2)
        if fault == "flushed":
            server.client.flushall()
        elif fault == "killed":
            server.kill()
        resume(job)
        drain("p")
        follower.result()
        assert seen == events(job)
        assert seen[-1]["kind"] == "finished"


def drain_one(job: int) -> None:
    succeed(lease("p", limit=1))
