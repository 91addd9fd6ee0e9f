"""Who holds the job's items: workers that show signs of life, and others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.models import Q

from joblot.ledger.read.call_progress import call_progress
from joblot.ledger.read.overdue_leases import overdue_leases_of, sweep_overdue_at
from joblot.ledger.read.reasons.reason import Asked, Reason, reason
from joblot.ledger.read.workers import Holding, Worker, holdings
from joblot.ledger.rows.job import policy_of
from joblot.shown import at, counted, counted_and, lasting
from joblot.states import ACCEPTING

PROGRESS_SHOWN_MAX = 3
SWEEP = "run `joblot serve`, or `joblot sweep --forever`"


def of_leases(asked: Asked) -> Iterator[Reason]:
    if asked.job.status not in ACCEPTING:
        return
    if late := overdue_leases_of(asked.job.pk):
        yield reason(
            "overdue",
            f"{late.text(asked.now)}, and nothing returns them to the queue: {SWEEP}",
            late.items,
            since=late.since,
            act="sweep",
            link="workers",
        )
    in_time = Q(expires_at__gte=sweep_overdue_at())
    held = list(held_by(asked, in_time).values())
    silent = [one for one in held if one.is_silent(asked.now)]
    if silent:
        yield _silent(asked, silent)
    if working := [one for one in held if not one.is_silent(asked.now)]:
        yield _working(asked, working)


def held_by(asked: Asked, which: Q) -> dict[Worker, Holding]:
    """What each worker holds of the job in these leases."""
    lasting = {asked.job.pk: policy_of(asked.job).lease_seconds}
    return holdings(asked.now, job_id=asked.job.pk, which=which, lasting=lasting)


def _working(asked: Asked, held: Sequence[Holding]) -> Reason:
    items, until = sum(one.items for one in held), max(one.until for one in held)
    if len(held) == 1:
        are = counted_and(items, "item", "is", "are")
        text = f"{are} with {named(held[0])} until {at(until, asked.now)}"
    else:
        text = (
            f"{counted(items, 'item')} are being worked on by {counted(len(held), 'worker')} until "
            f"{at(until, asked.now)}"
        )
    return reason("in_flight", text + _progress(asked), items, until=until, link="workers")


def _progress(asked: Asked) -> str:
    """`; item 12 is at 30 % (page 3 of 10)`, of the items whose workers have said so."""
    sentences = call_progress(asked.job.pk, PROGRESS_SHOWN_MAX)
    return "".join(f"; {one}" for one in sentences)


def _silent(asked: Asked, held: Sequence[Holding]) -> Reason:
    items, until = sum(one.items for one in held), max(one.until for one in held)
    leases = sum(one.leases for one in held)
    heard = max(one.heard_at for one in held)
    ago = lasting(min(one.silent_seconds(asked.now) for one in held))
    who = f"{named(held[0])}," if len(held) == 1 else counted(len(held), "worker")
    if until <= asked.now:
        ends = f"expired at {at(until, asked.now)}"
    else:
        ends = f"{'expires' if leases == 1 else 'expire'} at {at(until, asked.now)}"
    text = (
        f"{counted_and(items, 'item', 'is', 'are')} leased by {who} last heard from {ago} ago; the "
        f"{'lease' if leases == 1 else 'leases'} {ends}"
    )
    return reason("silent", text, items, since=heard, until=until, link="workers")


def named(one: Holding) -> str:
    return one.worker[1] or "an unnamed worker"
