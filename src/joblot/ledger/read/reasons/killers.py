"""Items whose leases expire although they are leased alone: they may kill their workers."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import F, Sum

from joblot.ledger.db.transactions import alias
from joblot.ledger.read.reasons.reason import Asked, Reason, reason
from joblot.ledger.rows.items import items_by_number
from joblot.ledger.rows.job import policy_of
from joblot.ledger.rows.ranges import Span
from joblot.models import LIVE, Attempt, ItemRange, Lease
from joblot.shown import counted
from joblot.states import ACCEPTING

WORKERS_SHOWN_MAX = 5
Killer = tuple[int, int, int]  # how many leases of it alone expired, stage, number


def of_killers(asked: Asked) -> Iterator[Reason]:
    if asked.job.status not in ACCEPTING:
        return
    (worst, queued), leased = _queued(asked), list(_leased(asked))
    found = [*leased, *([worst] if worst else [])]
    if not found:
        return
    expiries, stage, number = min(found, key=lambda one: (-one[0], one[1:]))
    most, items = policy_of(asked.job).expiries_max, queued + len(leased)
    text = (
        f"{_leases(expiries)} of {_named(asked, number)} alone expired, on "
        f"{_workers(asked, stage, number)}: it may kill its workers, and is lost after {most}"
    )
    if items > 1:
        text += f"; {counted(items - 1, 'other item')} may, too"
    yield reason("kills", text, items, link=f"items/{number}")


def _queued(asked: Asked) -> tuple[Killer | None, int]:
    """The worst one in the queue, and how many there are."""
    rows = ItemRange.ledger.using(alias()).filter(job_id=asked.job.pk, expiries__gt=0)
    items = rows.aggregate(items=Sum(F("last") - F("next") + 1, default=0))["items"]
    if not items:
        return None, 0
    worst = rows.order_by("-expiries", "stage", "next").values_list("expiries", "stage", "next")
    return worst.first(), items


def _leased(asked: Asked) -> Iterator[Killer]:
    rows = Lease.ledger.using(alias()).filter(LIVE, job_id=asked.job.pk, size=1)
    for stage, ranges in rows.values_list("stage", "ranges"):
        span = Span(*ranges[0])
        if span.expiries:
            yield span.expiries, stage, span.first


def _leases(number: int) -> str:
    return "a lease" if number == 1 else f"{number} leases"


def _named(asked: Asked, number: int) -> str:
    key = next((item.key for item in items_by_number(asked.job.pk, [number])), None)
    return f"item {number}" if key is None else f"item {number} ('{key:.100}')"


def _workers(asked: Asked, stage: int, number: int) -> str:
    """The workers whose leases of it expired, the first ones first."""
    tries = Attempt.ledger.using(alias()).filter(
        job_id=asked.job.pk, number=number, stage=stage, run=asked.job.run, cause="expired"
    )
    names = list(dict.fromkeys(tries.order_by("id").values_list("worker", flat=True)))
    shown = [name or "an unnamed worker" for name in names[:WORKERS_SHOWN_MAX]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
