"""A job that is watched: a stream of snapshots, read once for all viewers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.identity.tokens import issue, revoke
from joblot.ledger.db import statements
from joblot.ledger.job import lifecycle
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.server import following, outgoing
from tests.ledger import worker
from tests.ledger.worker import drain, keys
from tests.polling import eventually
from tests.server.raw import Raw, request
from tests.server.served import Served

SSE = {"Accept": "text/event-stream"}
VIEWERS = 30  # many more than the server has threads

Configure = Callable[..., None]


@pytest.fixture
def quick(configure: Configure) -> None:
    configure(live_seconds=0.05, live_final_seconds=0.05, live_rights_seconds=0.2)


def path(job: Job) -> str:
    return f"jobs/{job.pk}/live"


@contextmanager
def watch(http: httpx.Client, job: Job, **query: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The snapshots, each with the id of its message."""
    with http.stream("GET", path(job), params=query, headers=SSE, timeout=20) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield snapshots(answer.iter_lines())


def snapshots(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            key = value
        elif name == "data":
            found = json.loads(value)
            assert found["key"] == key
            yield found


def until(found: Iterator[dict[str, Any]], settled: int) -> dict[str, Any]:
    """The first snapshot with so many settled items."""
    return next(one for one in found if one["settled"] == settled)


def test_each_change_comes_as_one_whole_snapshot(http: httpx.Client, quick: None) -> None:
    job = submit("watched", keys(10), pipeline="p")
    with watch(http, job) as found:
        first = next(found)
        lease = worker.lease(limit=6)
        assert next(one for one in found if one["stages"][0]["in_flight"])["settled"] == 0
        worker.succeed(lease)
        (stage,) = until(found, 6)["stages"]
        drain("p")
        last = next(one for one in found if one["is_final"])
    assert (first["settled"], first["stages"][0]["ready"]) == (0, 10)
    assert (stage["succeeded"], stage["ready"], stage["in_flight"]) == (6, 4, 0)
    assert (last["status"], last["percent"]) == ("SUCCESS", 100.0)


def test_a_viewer_gets_nothing_older_than_it_has_seen(http: httpx.Client, quick: None) -> None:
    """It may reconnect to a process that has read the job earlier."""
    job = submit("watched", keys(1), pipeline="p")
    seen = http.get(path(job)).json()
    run, revision, microseconds = seen["key"].split(".")
    later = f"{run}.{revision}.{int(microseconds) + 1_000_000}"
    with watch(http, job, last_event_id=later) as found:
        assert next(found)["as_of"] > seen["as_of"]
        assert int(next(found)["key"].split(".")[2]) > int(microseconds) + 1_000_000


@pytest.mark.parametrize("given", ["x", "1.1", "1.1.1.1", "1.1.-1", "9" * 40, "1.1.\u00b2"])
def test_a_last_event_id_that_is_none(http: httpx.Client, job: Job, given: str) -> None:
    answer = http.get(path(job), params={"last_event_id": given}, headers=SSE)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_all_viewers_share_one_read(
    served: Served, quick: None, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, none holds a thread, and the job's end is read once for all."""
    configure(live_final_seconds=3_600)
    job = submit("watched", keys(1), pipeline="p")
    reads: list[int] = []
    read = served.process.live._read

    async def counted(job_id: int) -> Any:
        message = await read(job_id)
        reads.append(job_id)
        return message

    monkeypatch.setattr(served.process.live, "_read", counted)
    with ExitStack() as open_:
        viewers = [open_.enter_context(Raw(served.port)) for _ in range(VIEWERS)]
        for viewer in viewers:
            viewer.send(request("GET", f"/api/v1/{path(job)}", **SSE))
        eventually(lambda: served.process.live.viewers == VIEWERS)
        drain("p")
        texts = [until_final(viewer) for viewer in viewers]
        read_in_all = len(reads)
    sequences = [[line for line in text.splitlines() if line[:3] == "id:"] for text in texts]
    assert len({sequence[-1] for sequence in sequences}) == 1
    assert len({key for sequence in sequences for key in sequence}) <= read_in_all
    assert sum(map(len, sequences)) >= VIEWERS > read_in_all / 4
    assert all(sequence == sorted(set(sequence)) for sequence in sequences)
    eventually(lambda: served.process.live.viewers == 0)
    assert not served.process.live._jobs


def until_final(viewer: Raw) -> str:
    answer, text = viewer.answer(), b""
    while b'"is_final":true' not in text:
        text += answer.read1()
    return text.decode()


def test_nobody_watching_costs_nothing(
    served: Served, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served.client() as http, watch(http, submit("n", keys(1), pipeline="p")) as found:
        next(found)
    eventually(lambda: served.process.live.viewers == 0)
    reading = served.process.live._reading
    assert reading is not None
    eventually(reading.done)


def test_a_revoked_token_ends_the_stream(served: Served, quick: None) -> None:
    job = submit("watched", keys(1), pipeline="p")
    text, token = issue("of a viewer", ["read"])
    with served.client(Authorization=f"Bearer {text}") as http, watch(http, job) as found:
        next(found)
        revoke(token["id"])
        for _ in found:
            pass
        assert http.get(path(job)).status_code == 401


def test_a_job_that_leaves_the_viewers_projects_ends_the_stream(
    served: Served, quick: None
) -> None:
    job = submit("watched", keys(1), pipeline="p", project="mine")
    text, _ = issue("of a viewer", ["read"], projects=["mine"])
    with served.client(Authorization=f"Bearer {text}") as http, watch(http, job) as found:
        next(found)
        Job.objects.filter(pk=job.pk).update(project="theirs")
        for _ in found:
            pass
        assert http.get(path(job)).status_code == 404


def test_a_deleted_job_ends_the_stream(http: httpx.Client, quick: None) -> None:
    job = submit("watched", keys(1), pipeline="p")
    with watch(http, job) as found:
        next(found)
        lifecycle.delete(job.pk)
        for _ in found:
            pass
    assert http.get(path(job)).status_code == 404


def test_a_stop_ends_the_stream(served: Served, http: httpx.Client, quick: None) -> None:
    job = submit("watched", keys(1), pipeline="p")
    with watch(http, job) as found:
        next(found)
        served.begin_stop()
        for _ in found:
            pass


def test_the_reading_ends_before_the_threads_do(
    served: Served, http: httpx.Client, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read after that would open a connection that nobody closes."""
    job = submit("watched", keys(1), pipeline="p")
    live = served.process.live
    reads: list[int] = []

    async def endless(job_id: int) -> Any:
        reads.append(job_id)
        await asyncio.Event().wait()

    ended: list[bool] = []
    close = served.process._bridge.close

    def closed() -> None:
        ended.append(live._reading is not None and live._reading.done())
        close()

    with http.stream("GET", path(job), headers=SSE, timeout=20) as answer:
        lines = answer.iter_lines()
        next(lines)
        monkeypatch.setattr(live, "_read", endless)
        monkeypatch.setattr(served.process._bridge, "close", closed)
        eventually(lambda: reads)
        served.stop()
    assert ended == [True]


def test_a_database_that_fails_sends_nothing_but_comments(
    served: Served, http: httpx.Client, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a viewer shows then ages, and when the database is back, it goes on."""
    configure(live_seconds=0.02)
    for module in (outgoing, following):
        monkeypatch.setattr(module, "KEEP_ALIVE_SECONDS", 0.2)
    job = submit("watched", keys(1), pipeline="p")
    text = statements.text
    broken: list[bool] = []

    def sometimes(name: str, *args: Any, **kwargs: Any) -> str:
        given = text(name, *args, **kwargs)
        return "SELECT 1 FROM nowhere" if broken and name == "read/progress" else given

    monkeypatch.setattr(statements, "text", sometimes)
    with http.stream("GET", path(job), headers=SSE, timeout=20) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if line.startswith("data"))
        broken.append(True)
        next(line for line in lines if line.startswith(": "))
        broken.clear()
        next(line for line in lines if line.startswith("data"))


def test_the_stream_locks_nothing_and_writes_nothing(
    http: httpx.Client, quick: None, connect: Callable[[], BaseDatabaseWrapper]
) -> None:
    """A job whose row is locked by somebody else is watched all the same."""
    job = submit("watched", keys(1), pipeline="p")
    locker = connect()
    if locker.vendor == "sqlite":
        begin, lock = "BEGIN IMMEDIATE", "SELECT 1"
    else:
        begin, lock = "BEGIN", f"SELECT 1 FROM joblot_job WHERE id = {job.pk} FOR UPDATE"
    with locker.cursor() as cursor:
        cursor.execute(begin)
        cursor.execute(lock)
        with watch(http, job) as found:
            next(found)
            next(found)
        cursor.execute("ROLLBACK")
