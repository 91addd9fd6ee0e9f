"""Items that no worker can be given, because their data can't be read.

Only such an item fails, at the claim, with the cause. The rest of its lease is served.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from joblot.bounded_json import Unreadable
from joblot.ledger.report.report import report
from joblot.wire import ClaimedItem, GrantedLease, failure

logger = logging.getLogger("joblot.ledger")


def without_unreadable(lease: GrantedLease) -> GrantedLease:
    """The lease with only the items that can be read; the others fail through it.

    If the process dies in between, they return to the queue with the lease, for the next claim.
    """
    if not (_is_bad(lease.config) or any(map(_has_bad, lease.items))):
        return lease
    causes = {item.id: cause for item in lease.items if (cause := _cause(lease, item))}
    about = {"job": lease.job, "lease": lease.token}
    logger.warning("job %s: items can't be read and fail: %s", lease.job, causes, extra=about)
    report(lease.token, [failure(number, "Unreadable", why) for number, why in causes.items()])
    return replace(lease, items=tuple(item for item in lease.items if item.id not in causes))


def _cause(lease: GrantedLease, item: ClaimedItem) -> str:
    """Which parts of the item can't be read, and why; "" if all can."""
    parts = {"payload": item.payload, "input": item.input, "config of its job": lease.config}
    causes = (f"the {part} can't be read: {why}" for part, why in parts.items() if _is_bad(why))
    return "; ".join(causes)


def _has_bad(item: ClaimedItem) -> bool:
    return _is_bad(item.payload) or _is_bad(item.input)


def _is_bad(value: object) -> bool:
    return isinstance(value, Unreadable)
