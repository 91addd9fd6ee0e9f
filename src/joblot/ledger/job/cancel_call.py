"""A cancel in one call of a procedure, except for the end of the run; where there are functions."""

from __future__ import annotations

from enum import StrEnum

from joblot.config import limits
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import connection, repeated, require_durable
from joblot.ledger.rows.author import Author


class CancelOutcome(StrEnum):
    """How far a call has taken a cancel."""

    OPEN = "open"  # leases in flight may report until the deadline
    CLOSED = "closed"  # no lease can settle an item any more, so the run is to be ended


@repeated
def cancel_in_one_call(
    job_id: int, grace_seconds: float | None, by: Author
) -> CancelOutcome | None:
    """Cancel the job, or continue its cancel, by the steps that `lifecycle` sends one by one.

    Returns None, having done nothing, if the job's status does not allow a cancel, and where a
    procedure can't commit: on SQLite, and in a test's transaction.
    """
    conn = connection()
    require_durable(conn)
    if not dialect_of(conn).has_functions or conn.in_atomic_block:
        return None
    ((outcome,),) = fetch(
        conn,
        "job/cancel",
        clock=None,
        job=job_id,
        grace_seconds=grace_seconds,
        **by.fields(),
        leases_max=limits().close_leases_batch,
    )
    return None if outcome is None else CancelOutcome(outcome)
