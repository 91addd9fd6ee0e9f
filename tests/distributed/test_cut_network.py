"""A worker whose network is cut for longer than a lease, and comes back."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from subprocess import Popen

import pytest

from joblot.identity.tokens import issue
from joblot.ledger.claim.claim import claim
from joblot.ledger.read.items import outputs
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Event, Lease
from joblot.states import LeaseState, Receipt
from joblot.testing.postgres import PostgresServer
from joblot.wire import GrantedLease
from tests.cli.conftest import Joblot, make_joblot
from tests.distributed.balancer import Balancer
from tests.distributed.network import OtherMachine
from tests.ledger.conftest import exact
from tests.ledger.worker import keys, numbers, succeed
from tests.polling import eventually
from tests.server.process import Serving

__all__ = ["exact", "make_joblot"]

pytestmark = pytest.mark.timeout(400)  # on a machine that does much else
ITEMS = 8
LEASE_SECONDS = 5
EXIT_SECONDS_MAX = 60
FAR = """
from work import gate, note

def far(keys):
    for key in keys:
        note(key)
    gate(keys[0])
    return [f"far {key}" for key in keys]
"""


@pytest.fixture
def machine() -> Iterator[OtherMachine]:
    with OtherMachine() as machine:
        yield machine


@pytest.fixture
def joblot(
    postgres_only: str, postgres_server: PostgresServer, make_joblot: Callable[..., Joblot]
) -> Joblot:
    joblot = make_joblot(JOBLOT_DATABASE_URL=postgres_server.url("joblot"))
    joblot.write("far.py", FAR)
    return joblot


@pytest.fixture
def worker(
    joblot: Joblot, machine: OtherMachine, make_joblot: Callable[..., Joblot]
) -> Iterator[Popen[str]]:
    """On the other machine; its server, which also sweeps, is on this one."""
    token, _ = issue("worker", ["work"])
    with ExitStack() as open_:
        server = open_.enter_context(Serving(joblot))
        address = open_.enter_context(Balancer(lambda: [server.port], machine.host)).url
        there = make_joblot(JOBLOT_URL=address, JOBLOT_TOKEN=token)
        asked = ("worker", "far:far", "--pipeline", "p", "--batch", str(ITEMS))
        yield there.start(*asked, via=machine.via)


def test_its_items_are_worked_on_by_others_and_what_it_reports_late_counts_where_it_is_first(
    worker: Popen[str], joblot: Joblot, machine: OtherMachine
) -> None:
    job = submit("cut", keys(ITEMS), pipeline="p", policy={"lease_seconds": LEASE_SECONDS}).pk
    joblot.at_gate("k0")
    (held,) = Lease.objects.all()
    machine.cut()
    first, second = granted(ITEMS // 2), granted(ITEMS // 2)
    assert Lease.objects.get(pk=held.pk).state == LeaseState.EXPIRED
    assert sorted(numbers(first) + numbers(second)) == list(range(ITEMS))
    assert set(succeed(first, output="near")) == {Receipt.COUNTED}
    joblot.open_gate("k0")
    machine.mend()
    eventually(lambda: progress(job)["status"] == "SUCCESS")
    assert set(succeed(second, output="near")) == {Receipt.CONFLICTING}
    far = {item.key: f"far {item.key}" for item in second.items}
    assert dict(outputs(job)) == far | {item.key: "near" for item in first.items}
    assert Event.objects.filter(job_id=job, kind="finished").count() == 1

    later = submit("later", ["k9"], pipeline="p").pk
    joblot.at_gate("k9")
    joblot.open_gate("k9")
    eventually(lambda: progress(later)["status"] == "SUCCESS")
    worker.send_signal(signal.SIGTERM)
    said = worker.communicate(timeout=EXIT_SECONDS_MAX)
    assert (worker.returncode, "Traceback" in said[1]) == (0, False), said


def granted(limit: int) -> GrantedLease:
    """A lease for a worker on this machine, once the other one's has expired."""

    def claimed() -> GrantedLease | None:
        leases = claim(("p",), limit).leases
        return leases[0] if leases else None

    return eventually(claimed)
