"""A job's log, as it is read: the lines that were logged, and its events as lines.

An event is stored once, with its change. Here it becomes a line, so it is in the log if and only if
it happened. A logged line follows the event that was the job's newest at its time; so the order
needs no comparison of clocks, and a page is found by number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.db.transactions import alias, one_snapshot, repeated
from joblot.ledger.read.event_text import level_of, sentence
from joblot.ledger.rows.job import read_job, stages_of
from joblot.ledger.rows.log import LEVELS
from joblot.models import Event, Log
from joblot.shown import shown

Place = tuple[int, int]  # an event, and a line logged after it, or 0 for the event itself
_BEGINNING: Place = (0, 0)
_END: Place = (2**63 - 1, 2**63 - 1)


class LogPage(list[dict[str, Any]]):
    """Lines; `next` is the `after`, or the `before`, of the next page, None on the last."""

    next: int | None = None


@repeated
@one_snapshot()
def logs(
    job_id: int,
    *,
    after: int = 0,
    before: int | None = None,
    newest: bool = False,
    level: str | None = None,
    search: str = "",
    item: int | None = None,
    limit: int = 100,
) -> LogPage:
    """A page of the job's log: what was logged, and its events.

    Oldest first, `after` a line's id; with `newest` newest first, or `before` a line's id. `level`
    is the least one shown (debug, info, warning, error); `search` a part of the message, ignoring
    case; `item` shows the lines about the item with this number, and no events. A page of a search
    may be short; its `next` says where to continue. Raises NotFound, InvalidInput.
    """
    read_job(job_id)
    size = max(1, min(limit, limits().page_items_max))
    backwards = newest or before is not None
    start = before if backwards else after
    edge = _END if backwards else _BEGINNING
    place = _place(job_id, start) if start else edge
    asked = _Asked(job_id, place, backwards, _levels(level), search, item, size + 1)
    events, horizon = _events(asked)
    return _merged([*events, *_lines(asked)], horizon, asked, size)


@repeated
def event_lines(job_id: int, *, limit: int = 50) -> list[dict[str, Any]]:
    """The newest events of a job, newest first, as lines of its log."""
    rows = Event.ledger.using(alias()).filter(job_id=job_id).order_by("-pk")
    return [_of_event(event) for event in rows[: max(1, min(limit, limits().page_items_max))]]


@dataclass(frozen=True, slots=True)
class _Asked:
    job_id: int
    place: Place
    backwards: bool
    levels: Sequence[str]
    search: str
    item: int | None
    rows: int

    @property
    def filters(self) -> bool:
        return bool(self.search) or len(self.levels) < len(LEVELS)

    @property
    def order(self) -> str:
        return "-" if self.backwards else ""


def _levels(least: str | None) -> Sequence[str]:
    if least is None:
        return LEVELS
    if least not in LEVELS:
        raise InvalidInput(f"level: expected one of {', '.join(LEVELS)}, got {shown(least)}")
    return LEVELS[LEVELS.index(least) :]


def _place(job_id: int, line_id: int) -> Place:
    """The place of a line, by its id: twice its row's number, and one more if it was logged."""
    number, was_logged = divmod(line_id, 2)
    if not was_logged:
        return number, 0
    rows = Log.ledger.using(alias()).filter(job_id=job_id, pk=number)
    event_id = rows.values_list("event_id", flat=True).first()
    if event_id is None:
        raise InvalidInput(f"expected the id of a line of job {job_id}'s log, got {line_id}")
    return event_id, number


def _events(asked: _Asked) -> tuple[list[tuple[Place, dict[str, Any]]], Place | None]:
    """Events as lines, and how far was searched, if there may be more.

    The text of an event is not stored, so a search reads up to a page of events.
    """
    if asked.item is not None:
        return [], None
    event_id, line = asked.place
    mine = Event.ledger.using(alias()).filter(job_id=asked.job_id)
    if asked.backwards:
        mine = mine.filter(pk__lte=event_id) if line else mine.filter(pk__lt=event_id)
    else:
        mine = mine.filter(pk__gt=event_id)
    most = limits().page_items_max if asked.filters else asked.rows
    found = list(mine.order_by(f"{asked.order}pk")[:most])
    lines = [((event.pk, 0), _of_event(event)) for event in found]
    wanted = asked.search.casefold()
    fitting = [
        (place, line)
        for place, line in lines
        if line["level"] in asked.levels and wanted in line["message"].casefold()
    ]
    return fitting, lines[-1][0] if len(lines) == most else None


def _lines(asked: _Asked) -> list[tuple[Place, dict[str, Any]]]:
    event_id, line = asked.place
    mine = Log.ledger.using(alias()).filter(job_id=asked.job_id)
    if asked.backwards:
        mine = mine.filter(Q(event_id__lt=event_id) | Q(event_id=event_id, pk__lt=line))
    else:
        mine = mine.filter(Q(event_id__gt=event_id) | Q(event_id=event_id, pk__gt=line))
    if asked.item is not None:
        mine = mine.filter(number=asked.item)
    if len(asked.levels) < len(LEVELS):
        mine = mine.filter(level__in=asked.levels)
    if asked.search:
        mine = mine.filter(message__icontains=asked.search)
    found = list(mine.order_by(f"{asked.order}event_id", f"{asked.order}pk")[: asked.rows])
    stages = _stage_names(asked.job_id, found)
    return [((one.event_id, one.pk), _of_line(one, stages)) for one in found]


def _stage_names(job_id: int, lines: Sequence[Log]) -> Mapping[int | None, str]:
    if all(line.stage is None for line in lines):
        return {}
    return {stage.position: stage.name for stage in stages_of(job_id)}


def _merged(
    found: list[tuple[Place, dict[str, Any]]], horizon: Place | None, asked: _Asked, size: int
) -> LogPage:
    """A page in order, which ends where the events were not searched any more."""
    sign = -1 if asked.backwards else 1

    def in_order(place: Place) -> Place:
        return sign * place[0], sign * place[1]

    if horizon is not None:
        found = [one for one in found if in_order(one[0]) <= in_order(horizon)]
    found.sort(key=lambda one: in_order(one[0]))
    page = LogPage(line for _, line in found[:size])
    if len(found) > size:
        page.next = page[-1]["id"]
    elif horizon is not None:
        page.next = 2 * horizon[0]
    return page


def _of_event(event: Event) -> dict[str, Any]:
    return {
        "id": 2 * event.pk,
        "run": event.run,
        "stage": None,
        "item": None,
        "level": level_of(event),
        "message": sentence(event),
        "at": event.at.isoformat(),
        "source": "joblot",
        "worker": "",
        "lease": "",
        "event": event.kind,
        "actor": event.actor,
        "reason": event.reason,
    }


def _of_line(line: Log, stages: Mapping[int | None, str]) -> dict[str, Any]:
    return {
        "id": 2 * line.pk + 1,
        "run": line.run,
        "stage": stages.get(line.stage),
        "item": line.number,
        "level": line.level,
        "message": line.message,
        "at": line.at.isoformat(),
        "source": line.source,
        "worker": line.worker,
        "lease": line.lease,
        "event": None,
        "actor": "",
        "reason": "",
    }
