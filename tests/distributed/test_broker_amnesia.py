"""NATS forgets, is wiped, is killed, in the middle of a job: the counts stay exact.

Each item is worked on again at most once, and nothing depends on what becomes of a message.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nats.js.errors import NotFoundError

from joblot.grants import STREAM, GrantMessage, consumer_of, subject_of
from joblot.identity.tokens import issue
from joblot.ledger.job.lifecycle import cancel, pause, resume
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.progress import progress
from joblot.ledger.read.why import why
from joblot.ledger.submit.submit import submit
from joblot.models import Event, Lease
from joblot.states import TERMINAL
from joblot.wire import ClaimedItem, GrantedLease, Result, success
from joblot.worker import Client, Handler, HttpClient, Worker, WorkerSettings
from joblot.worker.nats_client import NatsClient
from tests.dispatch.dispatching import Dispatching
from tests.dispatch.nats_server import NatsServer
from tests.ledger.conftest import configure, exact, own_hooks
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.server.conftest import local
from tests.server.served import Served
from tests.threads import Threads

__all__ = ["configure", "exact", "local", "own_hooks"]

pytestmark = pytest.mark.timeout(400)  # on a machine that does much else
ITEMS = 2_000
BATCH = 16
LEASE_SECONDS = 6
WORKERS = 3


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path) as server:
        yield server


@pytest.fixture
def token(postgres_only: str, local: None) -> str:
    secret, _ = issue("worker", ["work"])
    return secret


class Work:
    """Counts how often each item was worked on, by all workers."""

    def __init__(self) -> None:
        self.times: Counter[int] = Counter()
        self._lock = threading.Lock()

    def __call__(self, items: Any) -> Iterator[list[Result]]:
        found: list[ClaimedItem] = list(items)
        with self._lock:
            self.times.update(item.id for item in found)
        yield [success(item.id, item.key) for item in found]


@contextmanager
def working(in_thread: Threads, work: Work, clients: list[Client]) -> Iterator[None]:
    settings = WorkerSettings(idle_seconds_max=0.1, wait_seconds=1.0)
    workers = [Worker(client, [Handler("p", work, BATCH)], settings) for client in clients]
    running = [in_thread(worker.run) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            worker.drain()
        for one in running:
            one.result(60)


def swept_until(holds: Callable[[], Any]) -> None:
    def look() -> Any:
        sweep()
        return holds()

    eventually(look, seconds_max=90)


def settled(job: int) -> int:
    return int(progress(job)["stages"][0]["succeeded"])


def is_past(job: int, items: int) -> bool:
    return settled(job) > items


def ended(job: int) -> bool:
    return progress(job)["status"] in TERMINAL


def finished_events(job: int) -> int:
    return Event.objects.filter(job_id=job, kind="finished").count()


def _once_there(server: NatsServer, ask: Callable[[Any], Any]) -> None:
    """Ask once the dispatcher has made again what an earlier fault has removed."""

    def is_done() -> bool:
        try:
            server.ask(ask)
        except NotFoundError:
            return False
        return True

    eventually(is_done)


def deleted(server: NatsServer) -> None:
    _once_there(server, lambda js: js.delete_stream(STREAM))


def purged(server: NatsServer) -> None:
    _once_there(server, lambda js: js.purge_stream(STREAM))


def restarted(server: NatsServer) -> None:
    server.kill()
    server.start()


def wiped(server: NatsServer) -> None:
    server.kill()
    server.wipe()
    server.start()


def consumer_lost(server: NatsServer) -> None:
    _once_there(server, lambda js: js.delete_consumer(STREAM, consumer_of("p")))


@pytest.mark.parametrize(
    ("fault", "items"),
    [
        (deleted, ITEMS),
        (purged, ITEMS),
        (restarted, ITEMS),
        (wiped, 10 * ITEMS),
        (consumer_lost, ITEMS),
    ],
)
def test_a_broker_that_forgets_in_the_middle_of_a_job(
    nats_server: NatsServer,
    token: str,
    in_thread: Threads,
    fault: Callable[[NatsServer], None],
    items: int,
) -> None:
    nats_server.start()
    work = Work()
    policy = {"lease_seconds": LEASE_SECONDS}
    with ExitStack() as open_:
        dispatching = Dispatching(nats_server.address, "p", items=BATCH, window=8)
        open_.enter_context(dispatching).until_up()
        clients: list[Client] = [
            open_.enter_context(NatsClient(nats_server.address, "", token, f"worker-{n}"))
            for n in range(WORKERS)
        ]
        job = submit("amnesia", keys(items), pipeline="p", policy=policy).pk
        with working(in_thread, work, clients):
            for share in (4, 2):
                eventually(partial(is_past, job, items // share))
                fault(nats_server)
            swept_until(lambda: ended(job))
    found = progress(job)
    assert (found["status"], settled(job)) == ("SUCCESS", items)
    assert finished_events(job) == 1
    assert set(work.times) == set(range(items))
    assert max(work.times.values()) <= 2


def test_a_broker_that_is_down_from_the_start(
    nats_server: NatsServer, token: str, in_thread: Threads
) -> None:
    """The job waits, `why` says so, workers that use HTTP go on; later the others work, too."""
    job = submit("waits", keys(BATCH), pipeline="p").pk
    with Dispatching(nats_server.address, "p", items=BATCH, window=2), ExitStack() as open_:
        eventually(lambda: "broker_down" in {one["code"] for one in why(job)["reasons"]})
        assert Lease.objects.count() == 0  # nothing is held that can't be published
        served = open_.enter_context(Served())
        both = open_.enter_context(NatsClient(nats_server.address, served.url, token, "both"))
        with working(in_thread, Work(), [both]):
            eventually(lambda: ended(job))
        later = submit("later", keys(BATCH), pipeline="p").pk
        nats_server.start()
        only = open_.enter_context(NatsClient(nats_server.address, "", token, "only"))
        with working(in_thread, Work(), [only]):
            eventually(lambda: ended(later))
        assert why(later)["reasons"][0]["code"] == "ended"


def next_of(client: Client, wait_seconds: float = 5.0) -> GrantedLease | None:
    claim = client.claim(
        ["p"], BATCH, job=None, worker="", idempotency_key="k", wait_seconds=wait_seconds
    )
    return claim.leases[0] if claim.leases else None


class TestGrants:
    """Outstanding grants, which the test delivers to workers in its own way."""

    @pytest.fixture
    def running(self, nats_server: NatsServer, token: str) -> Iterator[Dispatching]:
        nats_server.start()
        with Dispatching(nats_server.address, "p", items=BATCH, window=2, age_seconds=3) as running:
            yield running.until_up()

    @pytest.fixture
    def client(self, running: Dispatching, nats_server: NatsServer, token: str) -> Iterator[Client]:
        with NatsClient(nats_server.address, "", token, "mine") as client:
            yield client

    @pytest.mark.parametrize("ending", ["cancel", "pause"])
    def test_those_of_a_job_that_is_not_claimable_are_refused_at_once(
        self, running: Dispatching, client: Client, nats_server: NatsServer, ending: str
    ) -> None:
        job = submit("closed", keys(2 * BATCH), pipeline="p").pk
        eventually(lambda: running.outstanding() == 2)
        if ending == "cancel":
            cancel(job, grace_seconds=0)
        else:
            pause(job)
        assert next_of(client, 1.0) is None
        eventually(lambda: running.outstanding() == 0)
        if ending == "cancel":
            retry(job)
        else:
            resume(job)
        lease = next_of(client)
        assert lease is not None
        assert lease.run == progress(job)["run"]

    def test_one_that_is_delivered_to_several_workers_is_the_first_ones(
        self, running: Dispatching, client: Client, nats_server: NatsServer, token: str
    ) -> None:
        submit("twice", keys(1), pipeline="p")
        eventually(lambda: running.outstanding() == 1)
        again = nats_server.ask(lambda js: js.get_msg(STREAM, 1)).data
        nats_server.ask(lambda js: js.publish(subject_of("p"), again))
        lease = next_of(client)
        assert lease is not None
        assert GrantMessage.decoded(again).lease["token"] == lease.token
        with NatsClient(nats_server.address, "", token, "other") as other:
            assert next_of(other, 1.0) is None
        assert Lease.objects.get(pk=lease.token).worker == "mine"

    def test_one_that_is_redelivered_to_its_worker_is_not_worked_on_twice(
        self, running: Dispatching, client: Client, nats_server: NatsServer
    ) -> None:
        """As after its acknowledgement was lost, while the worker has it in its backlog."""
        submit("again", keys(1), pipeline="p")
        eventually(lambda: running.outstanding() == 1)
        again = nats_server.ask(lambda js: js.get_msg(STREAM, 1)).data
        assert next_of(client) is not None
        nats_server.ask(lambda js: js.publish(subject_of("p"), again))
        assert next_of(client, 1.0) is None

    def test_one_that_a_worker_pulled_before_it_died_is_worked_on_by_another(
        self, running: Dispatching, client: Client, nats_server: NatsServer
    ) -> None:
        """Though its message is delivered once, and is neither acknowledged nor redelivered."""

        async def deliver_once(js: Any) -> Any:
            await js.delete_consumer(STREAM, consumer_of("p"))
            config = {"filter_subject": subject_of("p"), "max_deliver": 1, "ack_wait": 0.2}
            await js.pull_subscribe(subject_of("p"), consumer_of("p"), STREAM, _config(**config))
            bound = await js.pull_subscribe_bind(consumer_of("p"), STREAM)
            (message,) = await bound.fetch(1, timeout=10)
            return message.data

        job = submit("died", keys(1), pipeline="p").pk
        eventually(lambda: running.outstanding() == 1)
        lost = GrantMessage.decoded(nats_server.ask(deliver_once)).lease["token"]

        def taken() -> GrantedLease | None:
            return next_of(client, 1.0)

        lease = eventually(taken)
        assert lease.token != lost
        client.report(lease.token, [success(0)])
        assert progress(job)["status"] == "SUCCESS"

    def test_what_is_no_grant_is_discarded(
        self, running: Dispatching, client: Client, nats_server: NatsServer
    ) -> None:
        nats_server.ask(lambda js: js.publish(subject_of("p"), b"\x00 not a grant"))
        submit("after", keys(1), pipeline="p")
        assert next_of(client) is not None

    def test_a_dispatcher_that_ends_withdraws_what_nobody_took(
        self, running: Dispatching, nats_server: NatsServer, token: str
    ) -> None:
        job = submit("left", keys(4 * BATCH), pipeline="p").pk
        eventually(lambda: running.outstanding() == 2)
        running.__exit__(None, None, None)
        (stage,) = progress(job)["stages"]
        assert (stage["ready"], stage["in_flight"]) == (4 * BATCH, 0)
        with Served() as served, HttpClient(served.url, token, "http") as http:
            assert next_of(http) is not None


def _config(**given: Any) -> Any:
    from nats.js.api import ConsumerConfig

    return ConsumerConfig(**given)
