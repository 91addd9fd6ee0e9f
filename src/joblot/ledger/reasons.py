"""Why a claim is granted nothing, and when to ask again. Read only when nothing was found."""

from __future__ import annotations

import math

from joblot.config import limits
from joblot.ledger.candidates import Wanted
from joblot.ledger.statements import fetch
from joblot.ledger.transactions import connection, repeated
from joblot.states import NoLease
from joblot.wire import Claim


@repeated
def no_lease(wanted: Wanted) -> Claim:
    """A Claim without leases: momentary, decided by one statement."""
    rows = fetch(
        connection(),
        "why_no_lease",
        **wanted.as_params(),
        rows=limits().claim_reason_rows_max,
    )
    is_known, is_paused, is_open, at_limit, seconds = rows[0]
    if at_limit:
        reason = NoLease.AT_LIMIT
    elif is_open:
        reason = NoLease.ALL_LEASED
    elif is_paused:
        reason = NoLease.PAUSED
    else:
        reason = NoLease.NONE_QUEUED if is_known else NoLease.UNKNOWN_PIPELINE
    return Claim((), reason, _bounded(seconds))


@repeated
def room(owner: int | None, items_max: int | None) -> float:
    """How many more items `owner` may have in flight; infinitely many without `items_max`."""
    if items_max is None:
        return math.inf
    ((held,),) = fetch(connection(), "items_in_flight", owner=owner)
    return items_max - int(held)


def at_limit() -> Claim:
    """The answer to a caller who has no room."""
    return Claim((), NoLease.AT_LIMIT, limits().claim_retry_seconds_max)


def _bounded(seconds: float | None) -> float:
    longest = limits().claim_retry_seconds_max
    if seconds is None:
        return longest
    return max(limits().claim_retry_seconds_min, min(float(seconds), longest))
