"""The picture of all items: the state of each item of a job, or of one stage, at one instant.

It reads every item that it shows, a million in about half a second, so it covers at most
`picture_items_max`. `pictures` keeps what was built for the next viewer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from joblot import clock
from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection, one_snapshot, repeated
from joblot.ledger.read.partition import cut_off_items, late_items
from joblot.ledger.read.picture_cells import Cells, Code, onto
from joblot.ledger.rows.due import JobSnapshot, decide, read_snapshot
from joblot.ledger.rows.items import settled_among
from joblot.ledger.rows.job import unknown_job
from joblot.ledger.rows.ranges import Span, islands
from joblot.models import LIVE, Event, ItemRange, Lease
from joblot.shown import shown
from joblot.states import TERMINAL, JobStatus


class Legend(IntEnum):
    """What the codes of a picture mean; `MEANINGS` names them."""

    JOB = 0
    CANCELED = 1  # the job, or a stage of it, once its cancel has ended
    STAGE = 2


_SETTLED = ("succeeded", "failed", "lost", "skipped")
# The names of the codes from 0, as URLs and the page use them; an empty one is not used.
MEANINGS: dict[Legend, tuple[str, ...]] = {
    Legend.JOB: ("ready", "waiting", "in_flight", *_SETTLED, ""),
    Legend.CANCELED: (
        *("cancelled_before_start", "finished_after_cancel", "cancelled_in_flight"),
        *(*_SETTLED, ""),
    ),
    Legend.STAGE: ("ready", "waiting", "in_flight", *_SETTLED, "not_reached"),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """The code of each item from `first` on, and what a viewer has to know of the job.

    `is_final` is true if nothing but a retry, or the removal of the job, can change it. `complete`
    is what the next picture need not read again, unless items were `reopened` once more.
    """

    job_id: int
    stage: str | None
    status: JobStatus
    run: int
    revision: int
    total: int
    first: int
    legend: Legend
    cells: bytes
    as_of: datetime
    is_final: bool
    counts: tuple[int, ...] = field(init=False)
    tag: str = field(init=False)  # the same for the same cells, whenever they were read
    complete: frozenset[int] = frozenset()
    reopened: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", tuple(self.cells.count(code) for code in Code))
        about = f"{self.legend} {self.run} {self.first} {len(self.cells)} "
        tag = hashlib.blake2b(about.encode() + self.cells, digest_size=12).hexdigest()
        object.__setattr__(self, "tag", tag)

    @property
    def meanings(self) -> tuple[str, ...]:
        return MEANINGS[self.legend]


@repeated
@one_snapshot()
def picture(
    job_id: int,
    *,
    stage: str | None = None,
    first: int = 0,
    last: int | None = None,
    known: Picture | None = None,
) -> Picture:
    """Items `first` to `last` (None: to the end) of the job, or in `stage`, as they are now.

    Without a stage, an item has the outcome of the last stage, or that of the stage in which it
    failed or was lost; while it is open, it is in flight or waits wherever it is. `known` is an
    earlier picture of the same: blocks in which it found everything settled are not read again.
    Raises NotFound, InvalidInput, also for more than `picture_items_max` items.
    """
    seen = read_snapshot(job_id)
    if seen is None:
        raise unknown_job(job_id)
    part = _Part(seen, _position(seen, stage), *_bounds(seen, first, last))
    reopened = _reopened(seen)
    is_same = known is not None and (known.run, known.reopened) == (seen.run, reopened)
    complete = known.complete if known is not None and is_same else frozenset()
    cells = part.settled(complete)
    found = cells.complete()
    part.put_open(cells)
    ((now,),) = fetch(connection(), "db/clock")
    return Picture(
        job_id=job_id,
        stage=stage,
        status=seen.status,
        run=seen.run,
        revision=seen.revision,
        total=seen.total,
        first=first,
        legend=part.legend,
        cells=cells.as_bytes(),
        as_of=moment(now),
        is_final=_is_final(seen),
        complete=found,
        reopened=reopened,
    )


def _reopened(seen: JobSnapshot) -> int:
    """How often items were reopened within the run."""
    events = Event.ledger.using(alias()).filter(job_id=seen.job_id, run=seen.run, kind="reopened")
    return int(events.count())


def _position(seen: JobSnapshot, stage: str | None) -> int | None:
    if stage is not None and stage not in seen.names:
        raise InvalidInput(f"stage: expected one of {', '.join(seen.names)}, got {shown(stage)}")
    return None if stage is None else seen.names.index(stage)


def _bounds(seen: JobSnapshot, first: int, last: int | None) -> tuple[int, int]:
    if first < 0:
        raise InvalidInput(f"first: expected 0 or more, got {first}")
    end = seen.total - 1 if last is None else min(last, seen.total - 1)
    most = limits().picture_items_max
    if end - first + 1 > most:
        raise InvalidInput(
            f"a picture shows at most {most:,} items, not {end - first + 1:,}; ask for a range of "
            f"them, such as {first}-{first + most - 1}"
        )
    return first, max(end, first - 1)


def _is_final(seen: JobSnapshot) -> bool:
    """A canceled job is never final: a late result may still change what a cell says."""
    return seen.status in TERMINAL - {JobStatus.REVOKED} and decide(seen) is None


@dataclass(frozen=True, slots=True)
class _Part:
    """The items `first` to `last` of a job, in the stage at `position`, or in the job (None)."""

    seen: JobSnapshot
    position: int | None
    first: int
    last: int

    @property
    def legend(self) -> Legend:
        if self.seen.status is JobStatus.REVOKED:
            return Legend.CANCELED
        return Legend.JOB if self.position is None else Legend.STAGE

    @property
    def stage(self) -> int:
        return len(self.seen.stages) - 1 if self.position is None else self.position

    def settled(self, complete: frozenset[int]) -> Cells:
        cells = self._cells()
        cells.settle(self.stage, complete=complete)
        cells.give_up(self.stage, skipped=self.position is not None)
        return cells

    def put_open(self, cells: Cells) -> None:
        if self.legend is Legend.CANCELED:
            cells.paint(self._of(cut_off_items), onto(Code.IN_FLIGHT, Code.READY))
            cells.paint(self._of(late_items), onto(Code.WAITING, Code.READY))
            return
        cells.paint(self._waiting(), onto(Code.WAITING, Code.READY))
        cells.paint(self._held(), onto(Code.IN_FLIGHT, Code.READY, Code.WAITING))
        if self.position:
            before = self._cells()
            before.settle(self.position - 1)
            cells.arrive(before)

    def _cells(self) -> Cells:
        return Cells(self.seen.job_id, self.first, self.last)

    def _waiting(self) -> Iterator[tuple[int, int]]:
        """What may not be claimed yet: a failed item before its next try."""
        rows = self._mine(ItemRange).filter(not_before__gt=clock.now())
        return self._open(rows.values_list("stage", "next", "last"))

    def _held(self) -> Iterator[tuple[int, int]]:
        """What live leases hold."""
        leases = self._mine(Lease).filter(LIVE)
        return self._open(
            (stage, first, last)
            for stage, ranges, gone in leases.values_list("stage", "ranges", "gone")
            for span in (Span(*one) for one in ranges)
            for first, last in _without(span, gone)
        )

    def _of(self, items: Callable[[int, int], list[tuple[int, int]]]) -> Iterator[tuple[int, int]]:
        """Of a canceled job, items by (stage, number)."""
        for stage, number in items(self.seen.job_id, self.seen.run):
            if self.position in (None, stage):
                yield number, number

    def _mine(self, model: Any) -> Any:
        rows = model.ledger.using(alias()).filter(job_id=self.seen.job_id)
        return rows if self.position is None else rows.filter(stage=self.position)

    def _open(self, spans: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
        """From (stage, first, last), the items as (first, last), without those that are settled in
        an earlier stage than the cells show; `paint` leaves those that are settled in this one.
        """
        earlier: dict[int, set[int]] = {}
        for stage, first, last in spans:
            if stage == self.stage:
                yield first, last
            else:
                here = range(max(first, self.first), min(last, self.last) + 1)
                earlier.setdefault(stage, set()).update(here)
        for stage, numbers in earlier.items():
            yield from islands(numbers - settled_among(self.seen.job_id, stage, numbers))


def _without(span: Span, gone: list[int]) -> Iterator[tuple[int, int]]:
    if gone:
        yield from islands(set(span.numbers).difference(gone))
    else:
        yield span.first, span.last
