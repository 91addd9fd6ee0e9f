"""Closing a run to its workers: first no claim is granted, then no lease's results count."""

from __future__ import annotations

from joblot.config import limits
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import execute, fetch
from joblot.ledger.db.transactions import connection, repeated, require_durable


@repeated
def drain_claims(job_id: int, run: int, *, ended: bool = False) -> None:
    """Delete the ranges, and so wait for every claim that read an earlier status.

    The job must be CANCELING, or have `ended`, and be in this run: otherwise nothing is deleted.
    """
    conn = connection()
    require_durable(conn)
    which = {"ended": True} if ended else {"canceling": True}
    execute(conn, "job/drain_ranges", job=job_id, run=run, **which)


def close_leases(job_id: int, run: int, *, unsettled: bool = False) -> None:
    """Close every lease of the job up to this run, in short batches; waits for reports in flight.

    Closes expired leases too: a success through one would count. With `unsettled`, the leases that
    have settled all of their items stay as they are, so that a cancel or a removal takes no longer
    the more is settled; nothing but an amendment can come through one of these, and that takes the
    job's row. A retry closes them all, because it reopens items.

    Leases of a later run stay: the caller may have been overtaken, with its run over and the next
    begun. `open` stays as well, and so says which items were in flight.

    Holds no lock while it waits: each batch skips locked leases, and when only locked ones are left
    it waits for one at a time.
    """
    batch = limits().close_leases_batch
    asked = {"job": job_id, "run": run} | ({"unsettled": True} if unsettled else {})
    while True:
        while _close("job/close_leases", size=batch, **asked) >= batch:
            pass
        if not dialect_of(connection()).locks_rows or not _close("job/close_next_lease", **asked):
            return


@repeated
def _close(statement: str, **asked: int) -> int:
    """How many leases the statement has closed."""
    conn = connection()
    require_durable(conn)
    return len(fetch(conn, statement, **asked))
