"""What the page of a job, or of one of its items, shows, in one snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joblot.ledger.db.transactions import one_snapshot, repeated
from joblot.ledger.read.causes import causes
from joblot.ledger.read.crew import crew_of
from joblot.ledger.read.eta import eta_of
from joblot.ledger.read.item import item
from joblot.ledger.read.log_lines import event_lines, logs
from joblot.ledger.read.partition import parts_of
from joblot.ledger.read.picture import picture
from joblot.ledger.read.progress import progress
from joblot.ledger.read.reasons.reason import NOBODY
from joblot.ledger.read.receipts import receipts_of
from joblot.ledger.read.runs import runs
from joblot.ledger.read.throughput import throughput_of
from joblot.ledger.read.why import reasons_of
from joblot.ledger.rows.job import read_job

LINES_SHOWN = 200
CAUSES_SHOWN = 50
NEIGHBORS_SHOWN = 20  # of an item, before and after it


@repeated
@one_snapshot()
def overview(
    job_id: int, *, window: str = "15m", log: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """`partition` as `job`, and `why`, `eta`, `throughput`, `causes`, `receipts`, `workers`,
    `logs`, `events`, `runs`, `config` and `policy`. `log` is the filter of the `logs`, as their
    reader takes it. Raises NotFound, InvalidInput.
    """
    row, found = read_job(job_id), progress(job_id)
    job = parts_of(found)
    return {
        "job": job,
        "why": reasons_of(found, owner=NOBODY),
        "eta": eta_of(job),
        "throughput": throughput_of(job, window),
        "causes": causes(job_id, limit=CAUSES_SHOWN),
        "receipts": receipts_of(job),
        "workers": crew_of(job_id),
        "logs": logs(job_id, newest=True, limit=LINES_SHOWN, **(log or {})),
        "events": event_lines(job_id),
        "runs": runs(job_id),
        "config": row.config,
        "policy": row.policy,
    }


@repeated
@one_snapshot()
def item_overview(job_id: int, number: int) -> dict[str, Any]:
    """`item`, `logs` (its own newest lines, newest first), and `picture`, of it and its neighbors.
    Raises NotFound.
    """
    found = item(job_id, number)
    first, last = max(0, number - NEIGHBORS_SHOWN), number + NEIGHBORS_SHOWN
    return {
        "item": found,
        "logs": logs(job_id, newest=True, item=number, limit=LINES_SHOWN),
        "picture": picture(job_id, first=first, last=last),
    }
