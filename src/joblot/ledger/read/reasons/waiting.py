"""Items in the queue: what they wait for, by their ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Max, Min, Q, Sum

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias
from joblot.ledger.read.dispatchers import down
from joblot.ledger.read.reasons.held import held_by
from joblot.ledger.read.reasons.limited import of_job, of_pipelines
from joblot.ledger.read.reasons.reason import NOBODY, Asked, Reason, reason
from joblot.ledger.read.workers import is_online, serving
from joblot.ledger.rows.ranges import ALONE, RELEASED
from joblot.ledger.rows.workers import ANY_JOB, ANY_PROJECT
from joblot.models import ItemRange, PipelineAsked
from joblot.shown import at, counted, counted_and, lasting
from joblot.states import ACCEPTING, CLAIMABLE, FINALIZABLE

_ITEMS = F("last") - F("next") + 1  # of a range

# Items that may be claimed now, by what happened to them earlier in this run.
_READY = {
    "ready and not claimed yet": Q(returns=0, failures=0),
    "ready for their next try, after a failure": Q(returns=0, failures__gt=0),
    "given back, or queued by a repair or an import, and not claimed since": Q(returns=RELEASED),
    "back from expired leases, and not claimed again yet": Q(returns__gt=0),
}
PIPELINES_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stage's items in the queue."""

    all: int
    ready: tuple[int, ...]  # by _READY
    suspect: int
    delayed: int
    next_try: datetime | None
    last_try: datetime | None


def of_queue(asked: Asked) -> Iterator[Reason]:
    if asked.job.status not in ACCEPTING:
        return
    stages = _stages(asked)
    if asked.job.status in FINALIZABLE:
        yield from _missing(asked, stages)
    if asked.job.status in CLAIMABLE:
        yield from _claimable(asked, stages)
    yield from _delayed(asked, stages)
    if blamed := sum(one.suspect for one in stages.values()):
        have = counted_and(blamed, "item", "has", "have")
        text = f"{have} come back more than once, and will be leased one at a time"
        yield reason("suspect", text, blamed)


def _stages(asked: Asked) -> dict[int, Waiting]:
    rows = ItemRange.ledger.using(alias()).filter(job_id=asked.job.pk).order_by()
    due, later = Q(not_before__lte=clock.now()), Q(not_before__gt=clock.now())
    sums: dict[str, Any] = {
        "all_": Sum(_ITEMS),
        "suspect": Sum(_ITEMS, filter=Q(returns__gte=ALONE), default=0),
        "delayed": Sum(_ITEMS, filter=later, default=0),
        "next_try": Min("not_before", filter=later),
        "last_try": Max("not_before", filter=later),
        **{
            f"ready{n}": Sum(_ITEMS, filter=due & which, default=0)
            for n, which in enumerate(_READY.values())
        },
    }
    return {
        row["stage"]: Waiting(
            row["all_"],
            tuple(row[f"ready{n}"] for n in range(len(_READY))),
            row["suspect"],
            row["delayed"],
            row["next_try"],
            row["last_try"],
        )
        for row in rows.values("stage").annotate(**sums)
    }


def _missing(asked: Asked, stages: dict[int, Waiting]) -> Iterator[Reason]:
    """Open items in no range and no lease, by the sums of one snapshot.

    Each transaction that moves an item does so between two of these, or settles it, so in a
    snapshot the sums differ by nothing but damage. An item may be in two of them for a while (it
    was settled through an expired lease, and is still queued), which hides damage, but never shows
    any that is not there.
    """
    for position, stage in enumerate(asked.stages):
        queued = stages[position].all if position in stages else 0
        if (lost := stage["ready"] - queued) > 0:
            text = (
                f"{counted_and(lost, 'item', 'is', 'are')} neither queued nor leased in stage "
                f"'{stage['name']}', so no worker can get {'it' if lost == 1 else 'them'}: run "
                f"`joblot audit {asked.job.pk} --repair`"
            )
            yield reason("missing", text, lost, act="repair")


def _claimable(asked: Asked, stages: dict[int, Waiting]) -> Iterator[Reason]:
    ready = {position: sum(one.ready) for position, one in stages.items() if sum(one.ready)}
    if not ready:
        return
    if (limited := of_job(asked, sum(ready.values()))) is not None:
        yield limited
        return
    waits = dict(of_pipelines(asked, ready))
    yield from waits.values()
    ready = {position: items for position, items in ready.items() if position not in waits}
    unserved = dict(_unserved(asked, ready))
    yield from unserved.values()
    yield from _not_sent(asked, ready)
    free = ready.keys() - unserved.keys()
    for n, what in enumerate(_READY):
        items = sum(one.ready[n] for place, one in stages.items() if place in free)
        if items:
            text = f"{counted_and(items, 'item', 'is', 'are')} {what}"
            yield reason("ready", text, items)


def _unserved(asked: Asked, ready: dict[int, int]) -> Iterator[tuple[int, Reason]]:
    """By stage, that no worker that may asks for its pipeline, and none is at work on it.

    Whether that is so is the same for everybody; which workers are named is not.
    """
    known, long_ago = _last_asked(asked), limits().worker_offline_seconds
    by_stage = {position: known.get(asked.stages[position]["pipeline"]) for position in ready}
    quiet = {p: last for p, last in by_stage.items() if _seconds_since(asked, last) > long_ago}
    if not quiet:
        return
    online = is_online(asked.now)
    served = serving(asked.job.project, online=online)
    for position, last in quiet.items():
        pipeline = asked.stages[position]["pipeline"]
        if served[pipeline] or _is_worked_on(asked, position):
            continue
        items = ready[position]
        text = (
            f"{counted_and(items, 'item', 'waits', 'wait')} for pipeline '{pipeline}'; no worker "
            f"has {_asked_for(asked, last)}"
        )
        if asked.owner != NOBODY:
            named = (
                served
                if asked.owner is None
                else serving(asked.job.project, asked.owner, online=online)
            )
            text += f"; {_who_serves(named)}"
        yield position, reason("unserved", text, items, since=last, link="workers")


def _not_sent(asked: Asked, ready: dict[int, int]) -> Iterator[Reason]:
    """Items whose dispatcher can't reach its broker. All callers see this: it names no worker."""
    stages = {asked.stages[position]["pipeline"]: items for position, items in ready.items()}
    for one in down(stages):
        items = sum(count for pipeline, count in stages.items() if pipeline in one.pipelines)
        text = (
            f"{counted_and(items, 'item', 'is', 'are')} not sent to workers over NATS: dispatcher "
            f"'{one.name}' can't reach it; workers that use HTTP go on"
        )
        yield reason("broker_down", text, items, since=one.since, link="workers")


def _last_asked(asked: Asked) -> dict[str, datetime]:
    pipelines = {stage["pipeline"] for stage in asked.stages}
    of_any = Q(job_id=ANY_JOB, project__in=[ANY_PROJECT, asked.job.project])
    rows = PipelineAsked.ledger.using(alias()).filter(
        of_any | Q(job_id=asked.job.pk), pipeline__in=pipelines
    )
    return dict(rows.order_by().values_list("pipeline").annotate(last=Max("asked_at")))


def _seconds_since(asked: Asked, moment: datetime | None) -> float:
    return float("inf") if moment is None else (asked.now - moment).total_seconds()


def _asked_for(asked: Asked, last: datetime | None) -> str:
    if last is None:
        return "ever asked for it"
    return f"asked for it for {lasting(_seconds_since(asked, last))}"


def _is_worked_on(asked: Asked, stage: int) -> bool:
    """A worker that is busy for long does not ask for more meanwhile."""
    held = held_by(asked, Q(stage=stage))
    return any(not one.is_silent(asked.now) for one in held.values())


def _who_serves(served: Any) -> str:
    if not served:
        return "no worker is online"
    shown = [f"'{name}' ({n})" for name, n in served.most_common(PIPELINES_SHOWN_MAX)]
    more = len(served) - len(shown)
    return f"workers online serve {', '.join(shown)}" + (f" and {more} more" if more else "")


def _delayed(asked: Asked, stages: dict[int, Waiting]) -> Iterator[Reason]:
    delayed = [one for one in stages.values() if one.delayed]
    if not delayed:
        return
    items = sum(one.delayed for one in delayed)
    first = min(one.next_try for one in delayed if one.next_try)
    last = max(one.last_try for one in delayed if one.last_try)
    text = f"{counted(items, 'item')} failed and {'waits' if items == 1 else 'wait'} for "
    if first == last:
        text += f"the next try until {at(last, asked.now)}"
    else:
        text += f"the next try, the first until {at(first, asked.now)}, "
        text += f"the last until {at(last, asked.now)}"
    yield reason("backing_off", text, items, until=last)
