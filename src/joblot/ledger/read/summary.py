"""What people are shown of a job first, as of one instant."""

from __future__ import annotations

from typing import Any

from joblot.ledger.db.transactions import one_snapshot, repeated
from joblot.ledger.read.causes import causes
from joblot.ledger.read.progress import progress
from joblot.ledger.read.why import reasons_of

CAUSES_MAX = 5


@repeated
@one_snapshot()
def summary(job_id: int, *, owner: int | None = None) -> dict[str, Any]:
    """`{"job", "reasons", "causes"}`: its counts, why it is not finished, and why items failed.

    As `progress`, `why` and `causes` answer; only the most frequent causes. Raises NotFound.
    """
    job = progress(job_id)
    return {
        "job": job,
        "reasons": reasons_of(job, owner=owner),
        "causes": causes(job_id, limit=CAUSES_MAX),
    }
