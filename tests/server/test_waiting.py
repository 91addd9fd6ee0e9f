"""Claims that wait for work."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.errors import Unavailable
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.server.waiting import POLL_SECONDS_MAX, WaitingRoom
from joblot.states import LeaseState
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.server.raw import Raw, request
from tests.server.served import Served
from tests.threads import Threads

POLLERS = 200
WAIT_SECONDS = 30  # the longest
SOON_SECONDS = 10  # on a busy machine; a claim that is not answered early waits its whole time


def claim_of(http: httpx.Client, **asked: Any) -> Any:
    answer = http.post("claims", json={"pipelines": ["p"], **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def waiting(served: Served) -> int:
    return len(served.process.room)


def test_a_claim_wakes_when_work_appears(
    served: Served, http: httpx.Client, in_thread: Threads
) -> None:
    claim = in_thread(claim_of, http, wait_seconds=WAIT_SECONDS)
    eventually(lambda: waiting(served) == 1)
    began = time.monotonic()
    submit("later", keys(1), pipeline="p")
    (lease,) = claim.result()["leases"]
    assert lease["items"][0]["key"] == "k0"
    assert time.monotonic() - began < SOON_SECONDS


def test_a_claim_that_waits_in_vain_says_why(http: httpx.Client) -> None:
    began = time.monotonic()
    reply = claim_of(http, wait_seconds=0.2)
    assert reply["leases"] == []
    assert reply["reason"]
    assert 0.2 <= time.monotonic() - began < SOON_SECONDS


def test_a_disconnected_client_gets_no_lease(served: Served, http: httpx.Client) -> None:
    """Of a thousand disconnected workers, none holds the items that arrive later."""
    with ExitStack() as gone:
        for _ in range(20):
            raw = gone.enter_context(Raw(served.port))
            raw.send(
                request(
                    "POST", "/api/v1/claims", {"pipelines": ["p"], "wait_seconds": WAIT_SECONDS}
                )
            )
        eventually(lambda: waiting(served) == 20)
    eventually(lambda: waiting(served) == 0)
    submit("later", keys(1), pipeline="p")
    (lease,) = claim_of(http, wait_seconds=5)["leases"]
    assert len(lease["items"]) == 1


@pytest.mark.parametrize(
    ("key", "state"),
    [(None, LeaseState.EXPIRED), ("mine", LeaseState.LIVE)],
    ids=["given back", "kept"],
)
def test_the_lease_of_a_client_that_disconnects_meanwhile_is_released(
    served: Served,
    connect: Callable[[], BaseDatabaseWrapper],
    looks: threading.Event,
    *,
    key: str | None,
    state: LeaseState,
) -> None:
    """Unless it has a key, with which it may get the same lease again."""
    asked = {"pipelines": ["p"], "wait_seconds": WAIT_SECONDS, "idempotency_key": key}
    with Raw(served.port) as raw:
        raw.send(request("POST", "/api/v1/claims", asked))
        eventually(lambda: waiting(served) == 1)
        job = submit("later", keys(1), pipeline="p")
        with leases_locked(connect()):
            looks.set()
            eventually(lambda: waiting(served) == 0)
            raw.socket.close()
            eventually(lambda: served.connections == 0)
    eventually(lambda: Lease.objects.filter(state=state).exists())
    (stage,) = progress(job.pk)["stages"]
    assert (stage["ready"], stage["in_flight"]) == ((1, 0) if key is None else (0, 1))


@pytest.fixture
def looks(served: Served, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Until it is set, waiting claims find no work: one would be granted before the test locks."""
    may_look, ready = threading.Event(), served.process.room._ready

    async def ready_when_set(asked: Collection[Wanted]) -> Mapping[Wanted, float]:
        return await ready(asked) if may_look.is_set() else {}

    monkeypatch.setattr(served.process.room, "_ready", ready_when_set)
    return may_look


@contextmanager
def leases_locked(other: BaseDatabaseWrapper) -> Iterator[None]:
    """Inside the block, no claim is granted."""
    with other.cursor() as cursor:
        if other.vendor == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        else:
            cursor.execute("BEGIN; LOCK TABLE joblot_lease IN EXCLUSIVE MODE")
        yield
        cursor.execute("ROLLBACK")


def test_waiting_takes_no_threads(served: Served, http: httpx.Client) -> None:
    """With 200 idle workers, others are served normally, and each item goes to one worker."""
    with ExitStack() as idle:
        assert http.get("jobs").status_code == 200  # it is up, with its background threads
        threads = threading.active_count()
        polls = [idle.enter_context(Raw(served.port)) for _ in range(POLLERS)]
        for poll in polls:
            poll.send(
                request(
                    "POST", "/api/v1/claims", {"pipelines": ["p"], "wait_seconds": WAIT_SECONDS}
                )
            )
        eventually(lambda: waiting(served) == POLLERS)
        assert threading.active_count() <= threads + 4, "more threads than the server may have"
        assert http.get("jobs").status_code == 200
        assert waiting(served) == POLLERS, "it was answered behind those who wait"
        submit("one", keys(3), pipeline="p", policy={"lease_seconds": 60})
        eventually(lambda: sum(Lease.objects.values_list("size", flat=True)) == 3)
        served.begin_stop()
        leases = [lease for poll in polls for lease in poll.json()["leases"]]
    assert sorted(item["id"] for lease in leases for item in lease["items"]) == [0, 1, 2]


def test_a_claim_for_which_the_other_was_quicker_waits_on(
    served: Served, http: httpx.Client, in_thread: Threads
) -> None:
    """Both are woken by one item; the one without an item keeps waiting for the next."""
    with served.client() as other:
        claims = [
            in_thread(claim_of, one, wait_seconds=WAIT_SECONDS, limit=1) for one in (http, other)
        ]
        eventually(lambda: waiting(served) == 2)
        submit("first", keys(1), pipeline="p")
        eventually(lambda: waiting(served) == 1)
        submit("second", keys(1), pipeline="p")
        jobs = {claim.result()["leases"][0]["job"] for claim in claims}
    assert len(jobs) == 2


def test_a_stop_lets_waiting_claims_go_at_once(
    served: Served, http: httpx.Client, in_thread: Threads
) -> None:
    claim = in_thread(claim_of, http, wait_seconds=WAIT_SECONDS)
    eventually(lambda: waiting(served) == 1)
    began = time.monotonic()
    served.stop()
    assert claim.result()["leases"] == []
    assert time.monotonic() - began < SOON_SECONDS
    try:
        socket.create_connection(("127.0.0.1", served.port), timeout=1).close()
    except OSError:
        return
    raise AssertionError("a stopped server still listens")


def test_a_database_that_is_down_is_tried_now_and_then() -> None:
    """At intervals, not whenever it refuses; each attempt is logged."""
    looks = []

    async def away(asked: Collection[Wanted]) -> Mapping[Wanted, float]:
        looks.append(asked)
        raise Unavailable("it is away")

    async def wait() -> bool:
        room = WaitingRoom(away)
        waited = await room.wait(Wanted.of("p", None, None), POLL_SECONDS_MAX / 2)
        room.close()
        return waited

    assert not asyncio.run(wait())
    assert len(looks) == 1


def test_a_wait_that_begins_while_the_server_stops_ends_at_once() -> None:
    """Also one whose task was made before, and has not run yet."""

    async def nothing(asked: Collection[Wanted]) -> Mapping[Wanted, float]:
        return {}

    async def wait() -> bool:
        room = WaitingRoom(nothing)
        waiting = asyncio.create_task(room.wait(Wanted.of("p", None, None), 3_600))
        room.close()
        return await asyncio.wait_for(waiting, 30)

    assert not asyncio.run(wait())
