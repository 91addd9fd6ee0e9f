"""The faults of two workers, and the items that they held."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from joblot.ledger.db.transactions import alias, connection
from joblot.models import Lease
from joblot.states import LeaseState
from joblot.testing.crew import Child

POLL_SECONDS = 0.02

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fate:
    """A worker that was killed or delayed while it held a lease on `items` items."""

    worker: str
    pid: int
    lease: str
    items: int

    def __str__(self) -> str:
        return f"{self.worker}, with a lease on {self.items} items"


def kill_when_holding(child: Child, say: Say) -> Fate | None:
    """Send SIGKILL as soon as the child holds a lease; None if it never did."""
    holding = child.receive()
    if holding is None:
        return None
    child.kill()
    say(f"{child.name} (pid {child.pid}) killed with SIGKILL, holding {holding['items']} items")
    return Fate(child.name, child.pid, holding["holding"], holding["items"])


def call_back_when_expired(child: Child, say: Say) -> Fate | None:
    """Let the child report only after its lease has expired; None if it never held one."""
    holding = child.receive()
    if holding is None:
        return None
    say(f"{child.name} (pid {child.pid}) went silent, holding {holding['items']} items")
    try:
        while not _expired(holding["holding"]):
            if child.ended:
                return None
            time.sleep(POLL_SECONDS)
    finally:
        connection().close()
    child.send(report=True)
    say(f"{child.name} is back and reports; its lease has expired")
    return Fate(child.name, child.pid, holding["holding"], holding["items"])


def _expired(token: str) -> bool:
    return Lease.ledger.using(alias()).filter(pk=token, state=LeaseState.EXPIRED).exists()
