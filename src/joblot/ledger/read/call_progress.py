"""The progress of items in flight, as their workers reported it with their last renewals."""

from __future__ import annotations

from typing import Any

from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.items import settled_among
from joblot.models import LIVE, Lease


def call_progress(job_id: int, most: int) -> list[str]:
    """Sentences about the items of the job that are open, the longest leased first."""
    rows = Lease.ledger.using(alias()).filter(LIVE, job_id=job_id, progress__isnull=False)
    leases = list(rows.order_by("claimed_at")[:most])
    return [_sentence(lease.progress or {}) for lease in leases if _is_open(lease)]


def _is_open(lease: Lease) -> bool:
    number = (lease.progress or {}).get("item")
    return number is None or not settled_among(lease.job_id, lease.stage, [number])


def _sentence(said: dict[str, Any]) -> str:
    what = "a batch" if said["item"] is None else f"item {said['item']}"
    share, text = said["share"], said["text"]
    if share is None:
        return f"{what}: {text}"
    return f"{what} is at {100 * share:.0f} %" + (f" ({text})" if text else "")
