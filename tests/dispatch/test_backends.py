"""What every way of dispatching does: one suite for all, on both databases."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from joblot.cli.local_client import LocalClient
from joblot.errors import LeaseEnded
from joblot.identity.tokens import issue
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.states import Receipt
from joblot.wire import Claim, GrantedLease, success
from joblot.worker import Client, HttpClient
from joblot.worker.nats_client import NatsClient
from tests.dispatch.dispatching import Dispatching
from tests.dispatch.nats_server import NatsServer
from tests.ledger.worker import TWO_STAGES, keys
from tests.polling import eventually
from tests.server.served import Served
from tests.threads import Threads

WAIT_SECONDS = 20.0
BATCH = 4

NewClient = Callable[[], Client]


@pytest.fixture(params=["database", "jetstream", "local"])
def new_client(
    request: pytest.FixtureRequest,
    ledger_db: str,
    local: None,
    nats_server: NatsServer,
) -> Iterator[NewClient]:
    """`new_client()` is another worker's, by the back-end; it serves the pipelines p and q."""
    token, _ = issue("worker", ["work"])
    numbers = itertools.count()
    with ExitStack() as open_:
        if request.param == "database":
            served = open_.enter_context(Served())
        elif request.param == "jetstream":
            dispatching = Dispatching(nats_server.address, "p", "q", items=BATCH, window=4)
            open_.enter_context(dispatching).until_up()

        def new() -> Client:
            name = f"worker-{next(numbers)}"
            if request.param == "local":
                return NamedClient(name)
            if request.param == "database":
                return open_.enter_context(HttpClient(served.url, token, name))
            return open_.enter_context(NatsClient(nats_server.address, "", token, name))

        yield new


class NamedClient(LocalClient):
    """A worker beside the ledger, whose claims have its name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def claim(
        self,
        pipelines: Sequence[str],
        limit: int,
        *,
        job: int | None,
        worker: str,
        idempotency_key: str,
        wait_seconds: float = 0.0,
    ) -> Claim:
        """It does not wait where there are no notifications, so it is made again."""

        def claimed() -> Claim | None:
            found = super(NamedClient, self).claim(
                pipelines,
                limit,
                job=job,
                worker=self._name,
                idempotency_key=idempotency_key,
                wait_seconds=wait_seconds,
            )
            return found if found.leases else None

        return eventually(claimed, seconds_max=wait_seconds)


def take(client: Client, *pipelines: str) -> GrantedLease | None:
    claim = client.claim(
        pipelines or ("p",),
        BATCH,
        job=None,
        worker="",
        idempotency_key=f"key-{next(_keys)}",
        wait_seconds=WAIT_SECONDS,
    )
    return claim.leases[0] if claim.leases else None


_keys = itertools.count()  # Threads: `next` of it is atomic


def taken(client: Client, *pipelines: str) -> GrantedLease:
    lease = take(client, *pipelines)
    assert lease is not None
    return lease


def succeed(client: Client, lease: GrantedLease) -> list[Receipt]:
    found = client.report(lease.token, [success(item.id, "out") for item in lease.items])
    return [one.receipt for one in found]


def test_new_work_reaches_a_worker_that_waits(new_client: NewClient, in_thread: Threads) -> None:
    waiting = in_thread(take, new_client())
    job = submit("later", keys(1), pipeline="p")
    lease = waiting.result()
    assert lease is not None
    assert (lease.job, [item.key for item in lease.items]) == (job.pk, ["k0"])


def test_each_item_goes_to_one_worker_and_counts_once(new_client: NewClient) -> None:
    job = submit("shared", keys(3 * BATCH), pipeline="p")
    clients = [new_client() for _ in range(3)]
    leases = [taken(client) for client in clients]
    items = [item.id for lease in leases for item in lease.items]
    assert sorted(items) == list(range(3 * BATCH))
    for client, lease in zip(clients, leases, strict=True):
        assert set(succeed(client, lease)) == {Receipt.COUNTED}
        assert set(succeed(client, lease)) == {Receipt.DUPLICATE}
    found = progress(job.pk)
    assert (found["status"], found["stages"][0]["succeeded"]) == ("SUCCESS", 3 * BATCH)


def test_the_lease_is_its_workers(new_client: NewClient) -> None:
    """Whoever the ledger granted it to first: revocations, caps and pages are about the worker."""
    from joblot.models import Lease

    submit("owned", keys(1), pipeline="p")
    client = new_client()
    lease = taken(client)
    row = Lease.objects.get(pk=lease.token)
    assert (row.worker, row.owner is None) == ("worker-0", isinstance(client, LocalClient))
    assert client.renew(lease.token) >= lease.expires_at


def test_what_is_given_back_reaches_another(new_client: NewClient) -> None:
    submit("returned", keys(1), pipeline="p")
    first = new_client()
    lease = taken(first)
    first.release(lease.token)
    again = taken(new_client())
    assert again.token != lease.token
    assert [item.key for item in again.items] == ["k0"]


def test_a_lease_ends_with_its_job(new_client: NewClient) -> None:
    job = submit("canceled", keys(2 * BATCH), pipeline="p")
    client = new_client()
    lease = taken(client)
    cancel(job.pk, grace_seconds=0)
    with pytest.raises(LeaseEnded):
        client.renew(lease.token)
    assert set(succeed(client, lease)) == {Receipt.LATE}
    assert progress(job.pk)["stages"][0]["succeeded"] == 0


def test_successes_are_passed_on_to_the_next_stage(new_client: NewClient) -> None:
    job = submit("stages", keys(2), stages=TWO_STAGES)
    client = new_client()
    for pipeline in ("p", "q"):
        open_items = 2
        while open_items:
            lease = taken(client, "p", "q")
            assert lease.pipeline == pipeline
            assert all(item.input == ("out" if pipeline == "q" else None) for item in lease.items)
            succeed(client, lease)
            open_items -= len(lease.items)
    eventually(lambda: progress(job.pk)["status"] == "SUCCESS")
