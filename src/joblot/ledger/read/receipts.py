"""How many results of a job got which receipt, as far as receipts leave rows behind."""

from __future__ import annotations

from typing import Any

from joblot.config import limits
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import connection
from joblot.states import Receipt


def receipts_of(job: dict[str, Any]) -> dict[str, Any]:
    """`{"counted", "late", "conflicting", "over"}` of a job whose `progress` was read in this
    snapshot.

    `counted` is exact: each item that succeeded or failed has one such result in its stage.
    Results that do not count are read up to `page_probe_items`; `over` is true if there are more.
    """
    most = limits().page_probe_items
    kept = dict(fetch(connection(), "read/uncounted", job=job["id"], most=most))
    return {
        "counted": sum(stage["succeeded"] + stage["failed"] for stage in job["stages"]),
        "late": kept.get(Receipt.LATE.value, 0),
        "conflicting": kept.get(Receipt.CONFLICTING.value, 0),
        "over": sum(kept.values()) >= most,
    }
