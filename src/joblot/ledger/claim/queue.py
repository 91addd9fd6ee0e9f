"""The queue of a job's stage: ranges, searched from behind a cursor.

The statements compare job, stage and id as one row value and order by all three, so that only the
index on all three can serve them. With a predicate on the job alone, PostgreSQL may scan all ranges
by id, or the table, when it expects to find a match soon.

Each process remembers, per stage, the last range it took, and its next search begins behind it; at
the end it wraps to where the live ranges begin. So claimers spread over the ranges and skip the
index entries of used-up ones. The cursor is a hint: a range that it skips is found when it wraps,
and every `range_floor_seconds` the search starts over from the beginning.
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
    floor_until: float = 0.0  # when to search for a higher floor again
    floor_ends: float = 0.0  # when to start over from id 0

    def walks(self) -> list[int]:
        """The ids behind which to search, in order."""
        now = time.monotonic()
        if now >= self.floor_ends:  # so that even a permanent backlog can't starve a range
            self.after = self.floor = 0
            self.floor_ends = now + limits().range_floor_seconds
        return [self.after, self.floor] if self.after > self.floor else [self.floor]


# Threads: iteration is over a copy. A cursor's numbers are hints, each written by one assignment,
# and any mixture of two threads' numbers is one that a single thread could have: a range that it
# skips is found when it wraps, or at the latest when a search starts over from the beginning.
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
        """Its first items, at most `items_max`."""
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
    """Lock a free range, of the first of these stages that has one.

    Returns the stage's index in `stages` and the range, or None if no stage has a free range.
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
    """Wait for a range of this stage that another claim holds, and lock it.

    None if there is none, or if it was used up, or not unlocked within `range_wait_seconds`.
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
    """The floors of the stages that this process knows, as `{"job", "stage", "floor"}`."""
    using, now = alias(), time.monotonic()
    return [
        {"job": job_id, "stage": stage, "floor": cursor.floor}
        for (at, (job_id, stage)), cursor in list(_cursors.items())
        if at == using and cursor.floor and now < cursor.floor_ends
    ]


def lock_small(stage: StageKey, after: int, items: int) -> list[LockedRange]:
    """Lock further ranges behind `after`, none larger than `items` or to be leased alone."""
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
    """Take the pieces out of the queue. The caller has locked their ranges."""
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
    """Find where the ranges begin, so that used-up ones are not scanned repeatedly.

    A range inserted below the floor by a transaction that is still open is found when the search
    starts over from the beginning; a range that is locked or not yet due keeps the floor below it.
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
    """Forget all cursors, when this process is pointed at another database."""
    _cursors.clear()
