"""A lease: its token, finding it by that, and the state that counts."""

from __future__ import annotations

import secrets
import time
from uuid import UUID

from joblot.errors import NotFound
from joblot.ledger.db.transactions import alias, repeated
from joblot.models import Job, Lease
from joblot.states import JobStatus, LeaseState


@repeated
def find(token: str | UUID, *, locked: bool = False) -> Lease:
    """The lease as it is now; `locked` until the transaction ends. Raises NotFound."""
    leases = Lease.ledger.using(alias())
    leases = leases.select_for_update() if locked else leases
    found: Lease | None = leases.filter(pk=key_of(token)).first()
    if found is None:
        raise _unknown()
    return found


def new_token() -> UUID:
    """A UUID of version 7 (RFC 9562): it begins with the time, in milliseconds.

    New leases are neighbours in the index, so that they change few of its pages. The other 74 bits
    are random: a token is a right, and can't be guessed. The time is this process' own, because
    nothing is read from it.
    """
    milliseconds, chance = time.time_ns() // 1_000_000, secrets.randbits(74)
    high, low = chance >> 62, chance & (1 << 62) - 1
    return UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low)


def state_of(lease: Lease, job: Job) -> LeaseState:
    """Closed once its run is over or its job is deleted, even if its row is not updated."""
    if job.status == JobStatus.REVOKED or job.run != lease.run or job.deleted_at is not None:
        return LeaseState.CLOSED
    return LeaseState(lease.state)


def key_of(token: str | UUID) -> UUID:
    """Raises NotFound for text that is no token."""
    try:
        return token if isinstance(token, UUID) else UUID(str(token))
    except ValueError:
        raise _unknown() from None


def _unknown() -> NotFound:
    return NotFound("unknown lease: expected the token of a claim; claim again")
