"""The queue of a job's stage: ranges, walked behind a cursor.

The statements compare job, stage and id as one row, and order by all three. So only the index of
all three can serve them: by the job alone, PostgreSQL may read through all ranges by their id, or
through the table, where it expects to find one soon.

Each process remembers, per stage, the last range it took and begins behind it; at the end it
wraps to where the live ranges begin. So claimers spread over the ranges, and none walks over the
index entries of ranges that are used up. The cursor is a hint: whatever it skips is found when it
wraps; every `range_floor_seconds` it begins from the beginning.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import OperationalError
from django.db.models import F

from joblot.config import limits
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection, is_conflict, savepoint
from joblot.ledger.rows.ranges import Span
from joblot.models import ItemRange

_CURSORS_MAX = 4_096

StageKey = tuple[int, int]  # a job's id, and the stage's position


@dataclass(slots=True)
class _Cursor:
    after: int = 0  # the id of the range taken last
    floor: int = 0  # no range was seen up to this id
    floor_until: float = 0.0  # when the floor is looked for again, behind where it was
    floor_ends: float = 0.0  # when all begins from the very beginning

    def walks(self) -> list[int]:
        """Behind which ids to look, one after the other."""
        now = time.monotonic()
        if now >= self.floor_ends:  # so that no backlog, however lasting, keeps a range waiting
            self.after = self.floor = 0
            self.floor_ends = now + limits().range_floor_seconds
        return [self.after, self.floor] if self.after > self.floor else [self.floor]


# Threads: who iterates has a copy. A cursor's numbers are hints, each written by one assignment,
# and any mixture of two threads' numbers is one that a single thread may have: what it skips is
# found when it wraps, and at the latest when a later walk begins from the very beginning.
_cursors: dict[tuple[str, StageKey], _Cursor] = {}


@dataclass(frozen=True, slots=True)
class LockedRange:
    """A range of the queue, locked."""

    id: int
    next: int
    last: int
    failures: int
    expiries: int
    returns: int

    def piece(self, items_max: int) -> Piece:
        """Its first items, at most so many."""
        last = min(self.last, self.next + items_max - 1)
        span = Span(self.next, last, self.failures, self.expiries, self.returns)
        return Piece(self, span)


@dataclass(frozen=True, slots=True)
class Piece:
    """What a claim takes from one range."""

    source: LockedRange
    span: Span

    def __len__(self) -> int:
        return len(self.span)

    @property
    def whole(self) -> bool:
        return self.span.last == self.source.last

    @property
    def came_back(self) -> bool:
        """True if another lease once held these items, and may have settled some since."""
        return self.source.returns != 0 or self.source.failures > 0


def lock_free(stages: Sequence[StageKey]) -> tuple[int, LockedRange] | None:
    """A range that nobody holds, of the first of these stages that has one; and that stage's place.

    Locks the range.
    """
    walks = [
        (place, after) for place, stage in enumerate(stages) for after in _cursor(stage).walks()
    ]
    rows = fetch(
        connection(),
        "claim/lock_free_range",
        jobs=[stages[place][0] for place, _ in walks],
        stages=[stages[place][1] for place, _ in walks],
        afters=[after for _, after in walks],
    )
    if not rows:
        return None
    walk, *found = rows[0]
    place = walks[walk - 1][0]
    return place, _taken(stages[place], LockedRange(*found))


def lock_held(stage: StageKey) -> LockedRange | None:
    """Busy is not empty: a range of this stage that another claim holds, when it is let go.

    None if there is none, or it was used up, or not let go within `range_wait_seconds`. Locks the
    range.
    """
    dialect = dialect_of(connection())
    if not dialect.locks_rows:
        return None
    job_id, position = stage
    after = _cursor(stage).floor
    try:
        with savepoint():
            dialect.limit_lock_wait(connection(), limits().range_wait_seconds)
            rows = fetch(
                connection(), "claim/wait_for_range", job=job_id, stage=position, after=after
            )
    except OperationalError as error:
        if is_conflict(error):
            return None
        raise
    return _taken(stage, LockedRange(*rows[0])) if rows else None


def floors() -> list[dict[str, int]]:
    """Where this process knows the ranges of a stage to begin, as `{"job", "stage", "floor"}`."""
    using, now = alias(), time.monotonic()
    return [
        {"job": job_id, "stage": stage, "floor": cursor.floor}
        for (at, (job_id, stage)), cursor in list(_cursors.items())
        if at == using and cursor.floor and now < cursor.floor_ends
    ]


def lock_small(stage: StageKey, after: int, items: int) -> list[LockedRange]:
    """More ranges behind `after`, none larger than `items` and none that must go alone."""
    rows = fetch(
        connection(),
        "claim/lock_small_ranges",
        job=stage[0],
        stage=stage[1],
        after=after,
        items=items,
        ranges=items,
    )
    return [LockedRange(*row) for row in rows]


def cut(pieces: list[Piece]) -> None:
    """Take the pieces out of the queue. The caller holds their ranges."""
    ranges = ItemRange.ledger.using(alias())
    if whole := [piece.source.id for piece in pieces if piece.whole]:
        ranges.filter(pk__in=whole).delete()
    for piece in pieces:
        if not piece.whole:
            ranges.filter(pk=piece.source.id).update(next=F("next") + len(piece))


def _taken(stage: StageKey, found: LockedRange) -> LockedRange:
    cursor = _cursor(stage)
    wrapped = found.id <= cursor.after
    cursor.after = found.id
    if wrapped:
        _raise_floor(stage, cursor)
    return found


def _raise_floor(stage: StageKey, cursor: _Cursor) -> None:
    """Learn where the ranges begin, so that used-up ones are not walked over again and again.

    A range that was inserted below by a transaction still open is seen when the floor is looked
    for from the beginning; one that is locked, or not yet due, keeps the floor below itself.
    """
    now = time.monotonic()
    if now < cursor.floor_until or not dialect_of(connection()).locks_rows:
        return
    job_id, position = stage
    rows = fetch(connection(), "claim/first_range", job=job_id, stage=position, after=cursor.floor)
    cursor.floor_until = now + limits().range_floor_step_seconds
    for (first,) in rows:
        cursor.floor = first - 1


def _cursor(stage: StageKey) -> _Cursor:
    if len(_cursors) > _CURSORS_MAX:
        _cursors.clear()
    return _cursors.setdefault((alias(), stage), _Cursor())


def forget() -> None:
    """Forget all cursors: for whoever points this process at another database."""
    _cursors.clear()
