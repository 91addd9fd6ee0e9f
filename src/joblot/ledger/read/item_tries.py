"""The tries of an item, with their receipts: what did not settle it, and what did."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection
from joblot.ledger.rows.due import JobSnapshot
from joblot.models import Event
from joblot.states import ItemState, Receipt

Json = dict[str, Any]

_LOST = ItemState.LOST.name.lower()
_REQUEUED = "a failure within the item's budget: it is tried again"
_REOPENED = "it settled the item, and a retry opened it again"
_COUNTED = "it settled the item"
_AMENDED = "the item had failed or was lost when the run ended, and now it has succeeded"
_EXPIRED = "nothing was reported before the lease expired"
_GIVEN_UP = "too many leases of it expired, and nothing was reported"
_OF_ATTEMPTS: Mapping[str, tuple[str | None, str]] = {
    "failed": (Receipt.REQUEUED.value, _REQUEUED),
    "expired": (None, _EXPIRED),
    _LOST: (None, _GIVEN_UP),
}


def tries_of(seen: JobSnapshot, found: Json) -> list[Json]:
    """All tries of an item, as `described` returns it, oldest first.

    What settles an item within a run replaces an earlier failure of this run; only after the end of
    the run is it an amendment.
    """
    tries = [_unsettling(attempt) for attempt in found["attempts"]]
    rows = fetch(connection(), "read/settled_by", job=seen.job_id, number=found["id"])
    leases = {seen.names[stage]: (worker, at) for stage, worker, at, _ in rows}
    ends = _ends(seen.job_id, {outcome["run"] for outcome in found["outcomes"]})
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
                **_receipt(outcome, ends),
                "error": outcome["error"],
            }
        )
    return sorted(tries, key=lambda one: one["reported_at"])


def _receipt(outcome: Json, ends: Mapping[int, datetime]) -> Json:
    if outcome["state"] == _LOST:
        return {"receipt": None, "reason": _GIVEN_UP}
    ended_at = ends.get(outcome["run"])
    if ended_at is not None and datetime.fromisoformat(outcome["settled_at"]) > ended_at:
        return {"receipt": Receipt.AMENDED.value, "reason": _AMENDED}
    return {"receipt": Receipt.COUNTED.value, "reason": _COUNTED}


def _ends(job_id: int, runs: set[int]) -> dict[int, datetime]:
    """When these runs ended, as far as they have."""
    mine = Event.ledger.using(alias()).filter(job_id=job_id, kind="finished", run__in=runs)
    return dict(mine.values_list("run", "at"))


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
