"""The queue of a job's stage: ranges, searched from behind a cursor.

The statements compare job, stage and id as one row value and order by all three, so that only the
index on all three can serve them. With a predicate on the job alone, PostgreSQL may scan all ranges
by id, or the table, when it expects to find a match soon.

Each process remembers, per stage, the last range it took, and its next search begins behind it; at
the end it wraps to where the live ranges begin. So claimers spread over the ranges and skip the
index entries of used-up ones. The cursor is a hint: a range that it skips is found when it wraps,
and every `range_floor_seconds` the search starts over from the beginning. While an old snapshot
keeps the entries of used-up ranges, starting over becomes slower, and is done less often.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from joblot.config import limits
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection

_CURSORS_MAX = 4_096
_FLOOR_LAG_MAX = 1_000  # range ids by which a cursor advances before the floor is searched again
_START_OVER_SHARE = 0.01  # of a process's time at most, for searches for where ranges begin
_START_OVER_SECONDS_MAX = 30.0  # between two of them: a range inserted below waits that long

StageKey = tuple[int, int]  # a job's id, and the stage's position


@dataclass(slots=True)
class _Cursor:
    after: int = 0  # the id of the range taken last
    floor: int = 0  # no range was seen up to this id
    searched_after: int = 0  # what `after` was when the floor was last searched for
    floor_until: float = 0.0  # when to search for a higher floor again
    floor_ends: float = 0.0  # when to start over from the beginning

    def walks(self) -> list[int]:
        """The ids behind which to search, in order."""
        return [self.after, self.floor] if self.after > self.floor else [self.floor]


# Threads: iteration is over a copy. A cursor's numbers are hints, each written by one assignment,
# and any mixture of two threads' numbers is one that a single thread could have: a range that it
# skips is found when it wraps, or at the latest when a search starts over from the beginning.
_cursors: dict[tuple[str, StageKey], _Cursor] = {}


def walks(stage: StageKey) -> list[int]:
    """The ids behind which to search for a range, in order."""
    cursor = _cursor(stage)
    if time.monotonic() >= cursor.floor_ends:
        _start_over(stage, cursor)
    return cursor.walks()


def start(stage: StageKey) -> int:
    """The id behind which the live ranges begin."""
    return _cursor(stage).floor


def took(stage: StageKey, range_id: int) -> None:
    """Note that a claim took this range: the next search begins behind it."""
    cursor = _cursor(stage)
    wrapped = range_id <= cursor.after
    cursor.after = range_id
    cursor.searched_after = cursor.searched_after or range_id
    if wrapped or range_id > cursor.searched_after + _FLOOR_LAG_MAX:
        _raise_floor(stage, cursor)


def floors() -> list[dict[str, int]]:
    """The floors of the stages that this process knows, as `{"job", "stage", "floor"}`."""
    using, now = alias(), time.monotonic()
    return [
        {"job": job_id, "stage": stage, "floor": cursor.floor}
        for (at, (job_id, stage)), cursor in list(_cursors.items())
        if at == using and cursor.floor and now < cursor.floor_ends
    ]


def _start_over(stage: StageKey, cursor: _Cursor) -> None:
    """Move the cursor to the first range, so that even a permanent backlog can't starve a range.

    The first range is searched for from id 0, because one may be inserted below the known floor.
    """
    began, is_known = time.monotonic(), cursor.floor_ends > 0
    if is_known and (beginning := _beginning(stage, 0)) is not None:
        cursor.after = cursor.floor = beginning
    now = time.monotonic()
    rest = min((now - began) / _START_OVER_SHARE, _START_OVER_SECONDS_MAX)
    cursor.floor_ends = now + max(limits().range_floor_seconds, rest)


def _raise_floor(stage: StageKey, cursor: _Cursor) -> None:
    """Find where the ranges begin, so that used-up ones are not scanned repeatedly.

    A range inserted below the floor by a transaction that is still open is found when the search
    starts over from the beginning; a range that is locked or not yet due keeps the floor below it.
    """
    now = time.monotonic()
    if now < cursor.floor_until:
        return
    if (beginning := _beginning(stage, cursor.floor)) is not None:
        cursor.floor = beginning
    cursor.searched_after = cursor.after
    cursor.floor_until = now + limits().range_floor_step_seconds


def _beginning(stage: StageKey, floor: int) -> int | None:
    """The id behind which the ranges above `floor` begin; None if there are none.

    Always 0 on databases without row locks, where no floor is kept.
    """
    if not dialect_of(connection()).locks_rows:
        return 0
    job_id, position = stage
    rows = fetch(connection(), "claim/first_range", job=job_id, stage=position, after=floor)
    return rows[0][0] - 1 if rows else None


def _cursor(stage: StageKey) -> _Cursor:
    if len(_cursors) > _CURSORS_MAX:
        _cursors.clear()
    return _cursors.setdefault((alias(), stage), _Cursor())


def forget() -> None:
    """Forget all cursors, when this process is pointed at another database."""
    _cursors.clear()
