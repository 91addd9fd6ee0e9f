"""The map of a job: its items by number, in cells, with the states of the items in each.

It reads the outcomes of the items that it shows, so a map covers at most `map_items_max`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection, one_snapshot, repeated
from joblot.ledger.rows.items import settled_among
from joblot.ledger.rows.job import read_job, stages_of
from joblot.ledger.rows.ranges import Span
from joblot.models import LIVE, Lease
from joblot.shown import shown
from joblot.states import ItemState


@repeated
@one_snapshot()
def job_map(
    job_id: int,
    *,
    stage: str | None = None,
    first: int = 0,
    last: int | None = None,
    cells: int = 100,
) -> dict[str, Any]:
    """`{"stage", "total", "first", "last", "cell_items", "cells", "next"}`: a stage's items.

    `stage` is its name; None means the first. Items `first` to `last` (None: to the end, or
    `map_items_max` of them) are divided into at most `cells` cells. Each cell has its `first` item
    and the number of items that are succeeded, failed, lost, skipped, in flight, and open (all
    others). `next` is the `first` of the following map, None at the end of the job. The numbers in
    flight are momentary. Raises NotFound, InvalidInput.
    """
    total = int(read_job(job_id).total)
    names = [one.name for one in stages_of(job_id)]
    position = _position(names, stage)
    until = min(total - 1 if last is None else last, total - 1, first + limits().map_items_max - 1)
    cell_items = max(1, math.ceil((until - first + 1) / cells))
    stretch = _Stretch(job_id, position, first, until, cell_items)
    return {
        "stage": names[position],
        "total": total,
        "first": first,
        "last": until,
        "cell_items": cell_items,
        "cells": list(stretch.cells()),
        "next": until + 1 if first <= until < total - 1 else None,
    }


def _position(names: list[str], stage: str | None) -> int:
    if stage is None:
        return 0
    if stage not in names:
        raise InvalidInput(f"stage: expected one of {', '.join(names)}, got {shown(stage)}")
    return names.index(stage)


class _Stretch:
    """Items `first` to `last` of a stage; none if `last` is before `first`."""

    def __init__(self, job_id: int, stage: int, first: int, last: int, cell_items: int) -> None:
        self._job_id = job_id
        self._stage = stage
        self._first = first
        self._last = last
        self._cell_items = cell_items

    def cells(self) -> Iterator[dict[str, int]]:
        leased = self._leased()
        settled = self._settled()
        flying = leased - settled_among(self._job_id, self._stage, leased) if leased else set()
        in_flight = Counter((number - self._first) // self._cell_items for number in flying)
        for cell, begins in enumerate(range(self._first, self._last + 1, self._cell_items)):
            size = min(self._cell_items, self._last - begins + 1)
            counts = {state.name.lower(): settled[cell, state] for state in ItemState}
            counts["in_flight"] = in_flight[cell]
            yield {"first": begins, **counts, "open": max(0, size - sum(counts.values()))}

    def _settled(self) -> Counter[tuple[int, int]]:
        """The number of settled items by cell and state."""
        rows = fetch(
            connection(),
            "read/outcomes_by_cell",
            job=self._job_id,
            stage=self._stage,
            first=self._first,
            last=self._last,
            cell_items=self._cell_items,
        )
        return Counter({(cell, state): items for cell, state, items in rows})

    def _leased(self) -> set[int]:
        """The items of live leases, including settled ones."""
        held: set[int] = set()
        live = Lease.ledger.using(alias()).filter(LIVE, job_id=self._job_id, stage=self._stage)
        for ranges, gone in live.values_list("ranges", "gone"):
            for span in (Span(*one) for one in ranges):
                if span.first <= self._last and span.last >= self._first:
                    held.update(set(span.numbers).difference(gone))
        return {number for number in held if self._first <= number <= self._last}
