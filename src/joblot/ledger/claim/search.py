"""One claim's search of the candidates, until something is granted or nothing is ready."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice

from joblot.config import limits
from joblot.ledger.claim import by_function, by_statements, candidates, together
from joblot.ledger.claim.candidates import Candidate, Snapshot, Wanted
from joblot.ledger.claim.grant import Holder, Taken
from joblot.ledger.claim.queue import StageKey
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.transactions import connection, repeated


def search(wanted: Wanted, limit: int, holder: Holder, *, shared: bool = False) -> Iterator[Taken]:
    """Take a range of each candidate that has a free one, in order. Stop at the first grant
    that is good enough: the search goes on only if asked to.

    If other claims hold every ready range, waits for one: busy does not mean empty. With
    `shared`, the statements are shared with other claims of this process.
    """
    taking = _Taking(limit, holder, shared=shared)
    cache, until = candidates.cache_for(wanted), time.monotonic() + limits().range_wait_seconds
    turn, known = cache.take_turn(), cache.fresh()
    if known is not None:
        yield from taking.free(known, turn, cache)
    while True:
        snapshot = cache.read(wanted)
        yield from taking.free(snapshot, turn, cache)
        best = next((one for one in taking.left(snapshot, turn) if one.ready), None)
        if best is None or time.monotonic() >= until:
            return
        yield from taking.tried([best], wait=True)


class _Taking:
    """Tries candidates, but none that has refused already."""

    def __init__(self, limit: int, holder: Holder, *, shared: bool) -> None:
        self._limit = limit
        self._holder = holder
        self._shared = shared
        self._refused: set[StageKey] = set()
        self._limited: set[str | None] = set()  # pipelines that grant nothing now

    def left(self, snapshot: Snapshot, turn: float) -> Iterator[Candidate]:
        return (one for one in snapshot.in_order(turn) if not self._has_refused(one))

    def _has_refused(self, one: Candidate) -> bool:
        return one.stage in self._refused or (bool(one.limited) and one.limited in self._limited)

    def free(
        self, snapshot: Snapshot, turn: float, cache: candidates.CandidatesCache
    ) -> Iterator[Taken]:
        """From the first stage that has a free range; each statement tries several stages."""
        left, passed_over = self.left(snapshot, turn), 0
        while asked := list(islice(left, limits().claim_stages_batch)):
            for one in self.tried(asked):
                if one.grant is not None:
                    cache.passed_over(snapshot, passed_over)
                yield one
            passed_over += len(asked)

    def tried(self, asked: Sequence[Candidate], *, wait: bool = False) -> Iterator[Taken]:
        while asked and (one := self._take(asked, wait=wait)):
            if one.refused:
                self._refused.add(one.candidate.stage)
                if one.pipeline_refused:
                    self._limited.add(one.candidate.limited)
                asked = [other for other in asked if not self._has_refused(other)]
            yield one

    @repeated
    def _take(self, asked: Sequence[Candidate], *, wait: bool) -> Taken | None:
        if not dialect_of(connection()).has_functions:
            return None if wait else by_statements.take(asked, self._limit, self._holder)
        if self._shared and not wait and not connection().in_atomic_block:
            return together.take(asked, self._limit, self._holder)
        return by_function.take(asked, self._limit, self._holder, wait=wait)
