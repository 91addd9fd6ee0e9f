"""A lease: finding it by its token, and the state that counts."""

from __future__ import annotations

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


def state_of(lease: Lease, job: Job) -> LeaseState:
    """Closed once its run is over, though a cancel may have left its row as it was."""
    if job.status == JobStatus.REVOKED or job.run != lease.run:
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
