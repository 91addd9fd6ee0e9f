"""A standby is promoted in the middle of a job, after its primary was lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from joblot.errors import Unavailable
from joblot.identity.tokens import issue
from joblot.ledger.read.audit import audit
from joblot.ledger.submit.submit import submit
from joblot.models import Event
from joblot.states import Receipt
from joblot.testing.postgres import PostgresServer
from joblot.wire import GrantedLease, ItemReceipt, NextClaim, Reported, Result, success
from joblot.worker import Handler, HttpClient, Worker, WorkerSettings
from tests.cli.conftest import Joblot, make_joblot
from tests.distributed.replication import Pair
from tests.distributed.test_several_servers import settled, status
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.server.process import Serving

__all__ = ["make_joblot"]

pytestmark = pytest.mark.timeout(400)  # on a machine that does much else
BATCH = 16
LEASE_SECONDS = 5
WORKERS = 3
NewClient = Callable[[], "RecordingClient"]


@pytest.fixture
def pair(durable_postgres: PostgresServer) -> Iterator[Pair]:
    with Pair(durable_postgres) as pair:
        yield pair


@pytest.fixture
def new_client(pair: Pair, make_joblot: Callable[..., Joblot]) -> Iterator[NewClient]:
    """`new_client()` is another worker's, of one server that knows both databases."""
    token, _ = issue("worker", ["work"])
    with ExitStack() as open_:
        url = open_.enter_context(Serving(make_joblot(JOBLOT_DATABASE_URL=pair.url("joblot")))).url
        yield lambda: open_.enter_context(RecordingClient(url, token))


class RecordingClient(HttpClient):
    """Keeps the numbers of the items whose success was acknowledged."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self.acknowledged: list[int] = []  # Threads: appended to by one, copied by others

    def report(self, token: str, results: Sequence[Result]) -> Sequence[ItemReceipt]:
        receipts = super().report(token, results)
        self._keep(receipts)
        return receipts

    def report_and_claim(
        self, token: str, results: Sequence[Result], claim_next: NextClaim
    ) -> Reported:
        reported = super().report_and_claim(token, results, claim_next)
        self._keep(reported.receipts)
        return reported

    def _keep(self, receipts: Sequence[ItemReceipt]) -> None:
        counted = (one.item for one in receipts if one.receipt is Receipt.COUNTED)
        self.acknowledged.extend(item for item in counted if item is not None)


class Work:
    """Counts how often each item was worked on, by all workers."""

    def __init__(self) -> None:
        self.times: Counter[int] = Counter()
        self._lock = threading.Lock()

    def __call__(self, items: Any) -> Iterator[list[Result]]:
        numbers = [item.id for item in items]
        with self._lock:
            self.times.update(numbers)
        yield [success(number) for number in numbers]


@contextmanager
def working(work: Work, clients: Sequence[HttpClient]) -> Iterator[None]:
    settings = WorkerSettings(idle_seconds_max=0.1)
    workers = [Worker(one, [Handler("p", work, BATCH)], settings) for one in clients]
    with ThreadPoolExecutor(len(workers)) as threads:
        running = [threads.submit(worker.run) for worker in workers]
        try:
            yield
        finally:
            for worker in workers:
                worker.drain()
    assert [one.result() for one in running] == [0] * len(workers)


def submitted(items: int) -> int:
    policy = {"lease_seconds": LEASE_SECONDS}
    return int(submit("fails over", keys(items), pipeline="p", policy=policy).pk)


def assert_ended_once(job: int, items: int) -> None:
    assert (status(job), settled(job)) == ("SUCCESS", items)
    assert Event.objects.filter(job_id=job, kind="finished").count() == 1
    assert audit(job)["ok"]


def test_with_synchronous_replication_nothing_acknowledged_is_lost(
    pair: Pair, new_client: NewClient
) -> None:
    items = 3_000
    pair.wait_for_standby_at_commit()
    job, work, clients = submitted(items), Work(), [new_client() for _ in range(WORKERS)]
    with working(work, clients):
        eventually(lambda: sum(len(one.acknowledged) for one in clients) > items // 8)
        pair.primary.stop("immediate")
        acknowledged = {number for one in clients for number in list(one.acknowledged)}
        kept = pair.settled_on_standby(job)
        assert len(acknowledged) < items
        assert acknowledged <= kept
        pair.promote()
        eventually(lambda: status(job) == "SUCCESS")
    assert_ended_once(job, items)
    assert max(work.times.values()) <= 2


def test_with_asynchronous_replication_what_is_lost_is_worked_on_again(
    pair: Pair, new_client: NewClient
) -> None:
    """What was acknowledged, and the leases that were granted, after the last of what it got."""
    items = 6 * BATCH
    job, client = submitted(items), new_client()
    known, unacknowledged = granted(client), granted(client)
    pair.until_caught_up()
    pair.standby.stop("immediate")
    assert receipts(client, known) == {Receipt.COUNTED}
    unknown = granted(client)
    assert receipts(client, unknown) == {Receipt.COUNTED}
    pair.primary.stop("immediate")
    with pytest.raises(Unavailable):
        receipts(client, unacknowledged)

    pair.standby.start()
    pair.promote()
    assert settled(job) == 0, "32 receipts are gone"
    assert eventually(partial(repeated, client, unacknowledged)) == {Receipt.COUNTED}
    assert receipts(client, unacknowledged) == {Receipt.DUPLICATE}
    assert receipts(client, unknown) == {Receipt.REJECTED}
    assert settled(job) == BATCH
    work = Work()
    with working(work, [new_client()]):
        eventually(lambda: status(job) == "SUCCESS")
    assert_ended_once(job, items)
    done = {item.id for item in unacknowledged.items}
    assert work.times == Counter(number for number in range(items) if number not in done)


def granted(client: HttpClient) -> GrantedLease:
    (lease,) = client.claim(["p"], BATCH, job=None, worker="", idempotency_key=str(uuid4())).leases
    return lease


def receipts(client: HttpClient, lease: GrantedLease) -> set[Receipt]:
    results = [success(item.id) for item in lease.items]
    return {one.receipt for one in client.report(lease.token, results)}


def repeated(client: HttpClient, lease: GrantedLease) -> set[Receipt] | None:
    """As a worker does while the outcome is unknown."""
    try:
        return receipts(client, lease)
    except Unavailable:
        return None
