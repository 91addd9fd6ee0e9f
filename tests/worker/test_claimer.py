"""Claiming ahead, while another lease is computed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from joblot.cli.local_client import LocalClient
from joblot.errors import Unavailable
from joblot.ledger.lease import expire
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.states import LeaseState
from joblot.wire import Claim, ClaimedItem, Reported, Result, success
from joblot.worker import Handler, Worker, WorkerSettings
from joblot.worker.claimer import AHEAD_CALL_SECONDS_MAX
from joblot.worker.held import HeldLease
from tests.ledger.worker import lease, succeed
from tests.polling import eventually
from tests.threads import Threads
from tests.worker.conftest import Working, ended, numbered

LIMIT = 8


class Gate:
    """Work on a whole claim per call, which stops at one item until released."""

    def __init__(self, at: int) -> None:
        self.at, self.here, self.go_on = at, threading.Event(), threading.Event()

    def __call__(self, given: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        for item in given:
            if item.id == self.at:
                self.here.set()
                assert self.go_on.wait(30)
        yield [success(item.id) for item in given]


class Watched(LocalClient):
    """Records how many items it gives back."""

    def __init__(self) -> None:
        super().__init__()
        self.released: list[int] = []

    def release(self, token: str) -> object:
        self.released.append(Lease.objects.get(pk=token).size)
        return super().release(token)


def _live() -> list[int]:
    """The sizes of the live leases."""
    return sorted(lease.size for lease in Lease.objects.filter(state=LeaseState.LIVE))


def _holding(worker: Worker, number: int) -> HeldLease | None:
    """The lease on an item; joblot grants it some time before the worker knows."""
    return next((held for held in worker._held.leases() if number in held.owed), None)


def test_the_next_lease_is_claimed_while_one_is_computed(ledger_db: str, working: Working):
    job = submit("j", numbered(40), pipeline="p")
    gate = Gate(LIMIT)  # in the second lease, when the rate is known
    with working(gate, batch_items=LIMIT, claim_ahead=True, claim_aim_seconds=0.0):
        assert gate.here.wait(30)
        eventually(lambda: _live() == [LIMIT, LIMIT])
        gate.go_on.set()
        assert ended(job.pk)["status"] == "SUCCESS"


def test_a_drain_gives_back_what_was_claimed_ahead(ledger_db: str, working: Working):
    job = submit("j", numbered(40), pipeline="p")
    gate = Gate(LIMIT)
    settings: dict[str, Any] = {"claim_ahead": True, "claim_aim_seconds": 0.0}
    with working(gate, batch_items=LIMIT, **settings) as worker:
        assert gate.here.wait(30)
        eventually(lambda: _live() == [LIMIT, LIMIT])
        worker.drain()
        gate.go_on.set()
    (stage,) = progress(job.pk)["stages"]
    assert (stage["succeeded"], stage["ready"], stage["in_flight"]) == (2 * LIMIT, 24, 0)


def test_a_single_item_that_was_claimed_ahead_is_given_back_at_no_cost(
    ledger_db: str, working: Working
):
    """Otherwise the death of this process in another lease would be blamed on it."""
    job = submit("j", numbered(2 * LIMIT + 1), pipeline="p")
    gate, client = Gate(LIMIT), Watched()
    settings: dict[str, Any] = {"claim_ahead": True, "claim_aim_seconds": 0.0}
    with working(gate, client=client, batch_items=LIMIT, **settings):
        assert gate.here.wait(30)
        eventually(lambda: client.released)
        eventually(lambda: _live() == [LIMIT])
        gate.go_on.set()
        assert ended(job.pk)["status"] == "SUCCESS"
    assert client.released == [1]


def test_nothing_is_claimed_ahead_beside_an_item_that_is_leased_alone(
    ledger_db: str, working: Working
):
    job = submit("j", numbered(LIMIT + 1), pipeline="p")
    submit("another", numbered(2 * LIMIT), pipeline="p")
    gate = Gate(LIMIT)
    settings: dict[str, Any] = {"claim_ahead": True, "claim_aim_seconds": 0.0}
    with working(gate, batch_items=LIMIT, **settings) as worker:
        assert gate.here.wait(30)
        assert [size for size in _live() if size == 1] == [1]
        assert worker._claimer._ahead is None
        gate.go_on.set()
        assert ended(job.pk)["status"] == "SUCCESS"


def test_nothing_is_claimed_ahead_beside_calls_that_take_long(ledger_db: str, in_thread: Threads):
    submit("j", numbered(40), pipeline="p")
    gate = Gate(LIMIT)
    settings = WorkerSettings(claim_ahead=True)
    worker = Worker(LocalClient(), [Handler("p", gate, LIMIT)], settings)
    worker._paces["p"].measure(1, AHEAD_CALL_SECONDS_MAX)
    running = in_thread(worker.run)
    assert gate.here.wait(30)
    assert worker._claimer._ahead is None
    worker.drain()
    gate.go_on.set()
    running.result()


def test_a_lease_that_ended_while_it_was_held_is_not_begun(ledger_db: str, working: Working):
    """The call before it froze, so it was not renewed; its items now belong to others."""
    job = submit("j", numbered(3 * LIMIT), pipeline="p")
    gate = Gate(LIMIT)
    settings: dict[str, Any] = {"claim_ahead": True, "claim_aim_seconds": 0.0}
    seen: list[int] = []

    def work(given: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        seen.extend(item.id for item in given)
        yield from gate(given)

    with working(work, batch_items=LIMIT, **settings) as worker:
        assert gate.here.wait(30)
        ahead = eventually(lambda: _holding(worker, 2 * LIMIT))
        expire(ahead.lease.token)
        other = lease(limit=LIMIT)
        ahead.renewed_at -= 10_000
        gate.go_on.set()
        eventually(lambda: ahead not in worker._held.leases())
        succeed(other)
        assert ended(job.pk)["status"] == "SUCCESS"
    assert seen == list(range(2 * LIMIT))


def test_an_error_while_claiming_ahead_is_met_again_when_it_matters(
    ledger_db: str, working: Working
):
    class Away(LocalClient):
        left = 2

        def claim(self, *args: Any, **kwargs: Any) -> Claim:
            if threading.current_thread().name.startswith("joblot-claim") and self.left:
                self.left -= 1
                raise Unavailable("for now", 0.0)
            return super().claim(*args, **kwargs)

        def report_and_claim(self, token: str, results: Any, claim_next: Any) -> Reported:
            return Reported(list(self.report(token, results)))

    job = submit("j", numbered(5 * LIMIT), pipeline="p")
    settings: dict[str, Any] = {"claim_ahead": True, "claim_aim_seconds": 0.0}
    client = Away()
    with working(Gate(-1), client=client, batch_items=LIMIT, **settings):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert client.left == 0
