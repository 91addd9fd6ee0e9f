"""The queue of a job's stage: ranges, searched from behind a cursor.

The statements compare job, stage and id as one row value and order by all three, so that only the
index on all three can serve them. With a predicate on the job alone, PostgreSQL may scan all ranges
by id, or the table, when it expects to find a match soon.

Each process remembers, per stage, the last range it took, and its next search begins behind it; at
the end it wraps to where the live ranges begin. So claimers spread over the ranges and skip the
index entries of used-up ones. The cursor is a hint: a range that it skips is found when it wraps,
and every `range_floor_seconds` the search starts over from the beginning. While an old snapshot
keeps the entries of used-up ranges, starting over becomes slower, and is done less often. Processes
that began together do it at different times, or all of their claims would wait for it at once.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from joblot.config import limits
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection

_CURSORS_MAX = 4_096
_FLOOR_LAG_MAX = 1_000  # range ids by which a cursor advances before the floor is searched again
_START_OVER_SHARE = 0.001  # of a process's time, or up to twice as much: many processes search
_START_OVER_SECONDS_MAX = 30.0  # between two of them: a range inserted below waits that long

StageKey = tuple[int, int]  # a job's id, and the stage's position


@dataclass(slots=True)
class _Cursor:
    after: int = 0  # the id of the range taken last
    floor: int = 0  # no range was seen up to this id
    searched_after: int = 0  # what `after` was when the floor was last searched for
    floor_until: float = 0.0  # when to search for a higher floor again
    floor_ends: float = 0.0  # when to start over from the beginning
    search_seconds: float = 0.0  # of the server, to find the floor from the beginning

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
    """The floors of the stages that this process knows, as `{"job", "stage", "floor"}`.

    A stage whose floor is no longer trusted is left out, so that its reader searches from the
    beginning. If that is slow, the search starts over first: a process that finds nothing to claim
    would otherwise do it with each reader.
    """
    using, known = alias(), []
    for (at, stage), cursor in list(_cursors.items()):
        if at != using or not cursor.floor:
            continue
        if time.monotonic() >= cursor.floor_ends:
            if cursor.search_seconds / _START_OVER_SHARE <= limits().range_floor_seconds:
                continue
            _start_over(stage, cursor)
            if (at, stage) not in _cursors:
                continue
        known.append({"job": stage[0], "stage": stage[1], "floor": cursor.floor})
    return known


def _start_over(stage: StageKey, cursor: _Cursor) -> None:
    """Move the cursor to the first range, so that even a permanent backlog can't starve a range.

    The first range is searched for from id 0, because one may be inserted below the known floor.
    """
    is_known = cursor.floor_ends > 0
    # First, so that no other thread starts over meanwhile.
    cursor.floor_ends = time.monotonic() + trusted_seconds(cursor.search_seconds)
    if not is_known:
        return
    try:
        beginning, cursor.search_seconds = _beginning(stage, 0)
    except BaseException:
        cursor.floor_ends = time.monotonic()  # a range below the floor is still to be found
        raise
    if beginning is not None:
        cursor.after = cursor.floor = beginning
    cursor.floor_ends = time.monotonic() + trusted_seconds(cursor.search_seconds)


def trusted_seconds(search_seconds: float) -> float:
    """How long to trust a floor whose search from the beginning takes the server `search_seconds`.

    Random, so that processes that began together don't start over together.
    """
    longest = min(search_seconds / _START_OVER_SHARE, _START_OVER_SECONDS_MAX)
    return max(limits().range_floor_seconds, longest) * random.uniform(0.5, 1.0)


def _raise_floor(stage: StageKey, cursor: _Cursor) -> None:
    """Find where the ranges begin, so that used-up ones are not scanned repeatedly.

    A range inserted below the floor by a transaction that is still open is found when the search
    starts over from the beginning; a range that is locked or not yet due keeps the floor below it.
    """
    now = time.monotonic()
    if now < cursor.floor_until:
        return
    beginning, seconds = _beginning(stage, cursor.floor)
    if beginning is not None:
        cursor.floor = beginning
    cursor.search_seconds += seconds
    cursor.searched_after = cursor.after
    cursor.floor_until = now + limits().range_floor_step_seconds


def _beginning(stage: StageKey, floor: int) -> tuple[int | None, float]:
    """The id behind which the ranges above `floor` begin, None if there are none; and how many
    seconds the search took the server. Forgets the stage if its job can't be claimed.

    Always 0 on databases without row locks, where no floor is kept.
    """
    if not dialect_of(connection()).locks_rows:
        return 0, 0.0
    job_id, position = stage
    ((found, is_claimable, seconds),) = fetch(
        connection(), "claim/first_range", job=job_id, stage=position, after=floor
    )
    if not is_claimable:
        _cursors.pop((alias(), stage), None)
    return (None if found is None else found - 1), seconds


def _cursor(stage: StageKey) -> _Cursor:
    if len(_cursors) > _CURSORS_MAX:
        _cursors.clear()
    return _cursors.setdefault((alias(), stage), _Cursor())


def forget() -> None:
    """Forget all cursors, when this process is pointed at another database."""
    _cursors.clear()
