"""The tries of an item, with their receipts: what did not settle it, and what did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import connection
from joblot.ledger.rows.due import JobSnapshot
from joblot.states import ItemState, Receipt

Json = dict[str, Any]

_LOST = ItemState.LOST.name.lower()
_REQUEUED = "a failure within the item's budget: it is tried again"
_REOPENED = "it settled the item, and a retry opened it again"
_COUNTED = "it settled the item"
_AMENDED = {
    "failed": "the item had failed, and now it has succeeded",
    _LOST: "the item was lost, and now it has succeeded",
}
_EXPIRED = "nothing was reported before the lease expired"
_GIVEN_UP = "too many leases of it expired, and nothing was reported"
_OF_ATTEMPTS: Mapping[str, tuple[str | None, str]] = {
    "failed": (Receipt.REQUEUED.value, _REQUEUED),
    "expired": (None, _EXPIRED),
    _LOST: (None, _GIVEN_UP),
}


def tries_of(seen: JobSnapshot, found: Json) -> list[Json]:
    """All tries of an item, as `described` returns it, oldest first, with the receipts that their
    workers got.

    A success that amends a failure takes the place of its outcome, in a run that has ended or not.
    """
    tries = [_unsettling(attempt) for attempt in found["attempts"]]
    rows = fetch(connection(), "read/settled_by", job=seen.job_id, number=found["id"])
    leases = {seen.names[stage]: (worker, at) for stage, worker, at, _ in rows}
    for outcome in found["outcomes"]:
        worker, leased_at = leases.get(outcome["stage"], ("", None))
        tries.append(
            {
                "stage": outcome["stage"],
                "run": outcome["run"],
                "worker": worker,
                "leased_at": None if leased_at is None else moment(leased_at).isoformat(),
                "reported_at": outcome["settled_at"],
                "outcome": outcome["state"],
                **_receipt(outcome),
                "error": outcome["error"],
            }
        )
    return sorted(tries, key=lambda one: one["reported_at"])


def _receipt(outcome: Json) -> Json:
    if outcome["state"] == _LOST:
        return {"receipt": None, "reason": _GIVEN_UP}
    if outcome["amends"] is not None:
        return {"receipt": Receipt.AMENDED.value, "reason": _AMENDED[outcome["amends"]]}
    return {"receipt": Receipt.COUNTED.value, "reason": _COUNTED}


def _unsettling(attempt: Json) -> Json:
    """An attempt of an earlier run may have settled the item; then a retry has reopened it."""
    receipt, reason = _OF_ATTEMPTS[attempt["cause"]]
    if attempt["cause"] == "failed" and attempt["leased_at"] is None:
        receipt, reason = Receipt.COUNTED.value, _REOPENED
    return {
        "stage": attempt["stage"],
        "run": attempt["run"],
        "worker": attempt["worker"],
        "leased_at": attempt["leased_at"],
        "reported_at": attempt["at"],
        "outcome": attempt["cause"],
        "receipt": receipt,
        "reason": reason,
        "error": attempt["error"],
    }
