"""A cancel in one call of a procedure, up to the end of the run, on databases with functions."""

from __future__ import annotations

from enum import StrEnum

from joblot.config import limits
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import connection, repeated, require_durable
from joblot.ledger.rows.author import Author


class Outcome(StrEnum):
    """How far a cancel came in one call."""

    OPEN = "open"  # leases in flight may report until the deadline
    CLOSED = "closed"  # no lease counts any more, so the run is to be ended


@repeated
def cancel_at_once(job_id: int, grace_seconds: float | None, by: Author) -> Outcome | None:
    """Cancel the job, or continue its cancel, with the statements that `lifecycle` has one by one.

    None, and nothing was done, if the job is in a status that can't be canceled, and where a
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
    return None if outcome is None else Outcome(outcome)
