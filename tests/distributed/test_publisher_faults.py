"""Faults of NATS, the ledger or another dispatcher while a dispatcher publishes grants.

Nothing is lost, nothing waits for a lease to expire, and an item is processed again at most once.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connections
from nats.js.errors import NotFoundError

from joblot.dispatch.publisher import Publisher
from joblot.errors import Unavailable
from joblot.grants import STREAM
from joblot.identity.tokens import issue
from joblot.ledger.claim.claim import claim_as
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.server.bridge import Bridge
from joblot.states import LeaseState
from joblot.testing.postgres import PostgresServer
from joblot.worker import Client
from joblot.worker.nats_client import NatsClient
from tests.dispatch.dispatching import THREADS, Dispatching
from tests.dispatch.nats_server import NatsServer
from tests.distributed.test_broker_amnesia import Work, ended, is_past, working
from tests.ledger.conftest import configure, exact, own_hooks
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.server.conftest import local
from tests.threads import Threads

__all__ = ["configure", "exact", "local", "own_hooks"]

pytestmark = pytest.mark.timeout(400)  # on a busy machine
BATCH = 16
WINDOW = 8
LONG_LEASE = {"lease_seconds": 3_600}  # no lease expires within a test


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path) as server:
        yield server.start()


@pytest.fixture
def token(postgres_only: str, local: None) -> str:
    secret, _ = issue("worker", ["work"])
    return secret


def dispatching(server: NatsServer, name: str = "d", **settings: Any) -> Dispatching:
    return Dispatching(server.address, "p", name=name, items=BATCH, window=WINDOW, **settings)


def clients(server: NatsServer, token: str, open_: ExitStack, count: int = 3) -> list[Client]:
    return [
        open_.enter_context(NatsClient(server.address, "", token, f"worker-{n}"))
        for n in range(count)
    ]


def held(job: int) -> int:
    return int(progress(job)["stages"][0]["in_flight"])


def stored(server: NatsServer) -> int:
    """How many messages the stream has; 0 while there is no stream."""

    async def asked(js: Any) -> int:
        try:
            return int((await js.stream_info(STREAM)).state.messages)
        except NotFoundError:
            return 0

    return int(server.ask(asked))


def lost_stream(server: NatsServer) -> None:
    async def asked(js: Any) -> bool:
        try:
            return bool(await js.delete_stream(STREAM))
        except NotFoundError:
            return False

    eventually(lambda: server.ask(asked))


def restarted(server: NatsServer) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize("fault", [lost_stream, restarted])
def test_the_window_is_published_again_whatever_was_lost_while_it_was_filled(
    nats_server: NatsServer, token: str, in_thread: Threads, fault: Callable[[NatsServer], None]
) -> None:
    work = Work()
    with ExitStack() as open_:
        running = open_.enter_context(dispatching(nats_server)).until_up()
        job = submit("filled", keys(4 * WINDOW * BATCH), pipeline="p", policy=LONG_LEASE).pk
        for least in (1, 2, WINDOW):
            eventually(partial(_has, running, least))
            fault(nats_server)
        eventually(lambda: running.outstanding() == WINDOW == stored(nats_server))
        eventually(lambda: held(job) == WINDOW * BATCH)
        with working(in_thread, work, clients(nats_server, token, open_)):
            eventually(lambda: ended(job))
    assert work.times == Counter(range(4 * WINDOW * BATCH))


def _has(running: Dispatching, grants: int) -> bool:
    return running.outstanding() >= grants


def test_a_grant_whose_lease_has_expired_while_it_waited_is_replaced(
    nats_server: NatsServer, token: str, in_thread: Threads
) -> None:
    """As after the dispatcher was frozen. The message is delivered, and the grant is refused."""
    work = Work()
    with ExitStack() as open_:
        running = open_.enter_context(dispatching(nats_server)).until_up()
        job = submit("waited", keys(WINDOW * BATCH), pipeline="p", policy=LONG_LEASE).pk
        eventually(lambda: stored(nats_server) == WINDOW)
        old = set(Lease.objects.values_list("pk", flat=True))
        for lease in old:
            expire(lease)
        eventually(lambda: held(job) == WINDOW * BATCH and _has(running, 1))
        with working(in_thread, work, clients(nats_server, token, open_)):
            eventually(lambda: ended(job))
    assert work.times == Counter(range(WINDOW * BATCH))
    assert not Lease.objects.filter(pk__in=old).exclude(worker="d").exists()


def test_two_dispatchers_of_a_pipeline_share_its_items(
    nats_server: NatsServer, token: str, in_thread: Threads
) -> None:
    """When one of them ends, the other one publishes the items that it withdraws."""
    work, items = Work(), 12 * WINDOW * BATCH
    with ExitStack() as open_:
        first = open_.enter_context(dispatching(nats_server, "first")).until_up()
        second = dispatching(nats_server, "second")
        with second:
            second.until_up()
            job = submit("shared", keys(items), pipeline="p", policy=LONG_LEASE).pk
            eventually(lambda: _has(first, WINDOW) and _has(second, WINDOW))
            open_.enter_context(working(in_thread, work, clients(nats_server, token, open_)))
            eventually(partial(is_past, job, items // 4))
        eventually(lambda: ended(job))
    assert work.times == Counter(range(items))


class Unanswering(Bridge):
    """Commits every claim, but loses the answers to the first `lost` that grant a lease."""

    def __init__(self, lost: int) -> None:
        super().__init__(THREADS)
        self._lost = lost
        self._lock = threading.Lock()

    async def call(self, verb: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await super().call(verb, *args, **kwargs)
        if verb is claim_as and answer.leases and self._loses():
            raise Unavailable("the connection was lost while the claim was committed")
        return answer

    def _loses(self) -> bool:
        with self._lock:
            self._lost -= 1
            return self._lost >= 0


@pytest.mark.parametrize("lost", [1, 2, 4])
def test_a_claim_that_was_not_answered_holds_no_items_back(
    nats_server: NatsServer, token: str, lost: int
) -> None:
    bridge = partial(Unanswering, lost)
    with dispatching(nats_server, bridge=bridge) as running:
        running.until_up()
        job = submit("unanswered", keys(4 * BATCH), pipeline="p", policy=LONG_LEASE).pk
        eventually(lambda: running.outstanding() == 4)
        assert held(job) == 4 * BATCH


class Slow(Bridge):
    """Delays claims until the test sets `may_end`."""

    def __init__(self) -> None:
        super().__init__(THREADS)
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    async def call(self, verb: Any, *args: Any, **kwargs: Any) -> Any:
        return await super().call(self._slowly, verb, *args, **kwargs)

    def _slowly(self, verb: Any, *args: Any, **kwargs: Any) -> Any:
        if verb is claim_as:
            self.has_begun.set()
            assert self.may_end.wait(60)
        return verb(*args, **kwargs)


def test_a_dispatcher_that_ends_while_it_claims_withdraws_what_is_granted(
    nats_server: NatsServer, token: str, in_thread: Threads
) -> None:
    bridges: list[Slow] = []

    def slow() -> Slow:
        bridges.append(Slow())
        return bridges[0]

    job = submit("granted", keys(BATCH), pipeline="p", policy=LONG_LEASE).pk
    running = dispatching(nats_server, bridge=slow).__enter__().until_up()
    eventually(bridges[0].has_begun.is_set)
    ending = in_thread(running.__exit__, None, None, None)
    eventually(lambda: _publisher(running)._has_ended)
    bridges[0].may_end.set()
    ending.result(60)
    assert Lease.objects.count() == 1
    assert held(job) == 0


def test_a_dispatcher_that_ends_leaves_its_successors_grants_alone(
    nats_server: NatsServer, postgres_only: str
) -> None:
    """Both have one name for a while, as when one is started before the other has ended."""
    with dispatching(nats_server) as successor:
        successor.until_up()
        with dispatching(nats_server) as ending:
            ending.until_up()
            submit("kept", keys(4 * WINDOW * BATCH), pipeline="p", policy=LONG_LEASE)
            eventually(lambda: _is_full(successor) and _is_full(ending))
            granted = _tokens(successor)
        assert granted == _tokens(successor)
        assert (
            set(Lease.objects.filter(state=LeaseState.LIVE).values_list("pk", flat=True)) >= granted
        )


def _is_full(running: Dispatching) -> bool:
    """Its window is, and it has published all that it has claimed."""
    return running.outstanding() == WINDOW and not _publisher(running)._has_unknown


def _tokens(running: Dispatching) -> set[UUID]:
    return set(_publisher(running)._window.tokens())


def _publisher(running: Dispatching) -> Publisher:
    assert running.stream is not None
    (publisher,) = running.stream.publishers
    return publisher


def test_the_ledger_is_down_while_nats_is_up(
    postgres_only: str,
    durable_postgres: PostgresServer,
    nats_server: NatsServer,
    in_thread: Threads,
) -> None:
    """Workers keep their results, the dispatcher waits, and both go on."""
    token, _ = issue("worker", ["work"])
    work, items = Work(), 12 * WINDOW * BATCH
    with ExitStack() as open_:
        open_.enter_context(dispatching(nats_server)).until_up()
        job = submit("outage", keys(items), pipeline="p", policy={"lease_seconds": 5}).pk
        with working(in_thread, work, clients(nats_server, token, open_)):
            eventually(partial(is_past, job, items // 4))
            durable_postgres.stop("immediate")
            assert stored(nats_server) >= 0
            durable_postgres.start()
            eventually(partial(_swept_to_its_end, job), seconds_max=120)
        assert progress(job)["status"] == "SUCCESS"
    assert set(work.times) == set(range(items))
    assert max(work.times.values()) <= 2


def _swept_to_its_end(job: int) -> bool:
    """False while the database is down, or has just been started."""
    try:
        sweep()
        return ended(job)
    except (Unavailable, DatabaseError):
        connections["postgres"].close()
        return False
