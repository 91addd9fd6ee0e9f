"""Which jobs a claim may be served from, in the order in which they are tried.

A process reads the candidates once in a while and keeps that snapshot on a cache. It is a hint:
whether a job may be claimed is decided when its range is locked, and no claim goes away empty
before it has read a snapshot of its own.
"""

from __future__ import annotations

import json
import math
import os
import random
import threading
import time
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from django.conf import settings

from joblot.config import limits
from joblot.errors import InvalidPolicy
from joblot.ledger.claim import queue
from joblot.ledger.claim.queue import StageKey
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection, repeated
from joblot.ledger.rows import claimable
from joblot.ledger.rows.names import checked_name

_CACHES_MAX = 1_024
_PASSED_OVER_MAX = 8  # or a sixteenth of a long board: to walk it costs less than to read it
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller serves: pipelines, of all jobs or one, of all projects or some."""

    pipelines: tuple[str, ...]
    job: int | None = None
    projects: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls, pipelines: str | Iterable[str], job: int | None, projects: Collection[str] | None
    ) -> Wanted:
        """Raises InvalidInput for a pipeline that is no name."""
        names = [pipelines] if isinstance(pipelines, str) else pipelines
        checked = {checked_name(name, "pipeline") for name in names}
        some = None if projects is None else tuple(sorted(projects))
        return cls(tuple(sorted(checked)), job, some)

    def as_params(self) -> dict[str, str | int | None]:
        """As the statements take them, with where the ranges are known to begin."""
        return {
            "pipelines": json.dumps(self.pipelines),
            "job": self.job,
            "projects": None if self.projects is None else json.dumps(self.projects),
            "floors": json.dumps(queue.floors()),
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stage of a job that had something ready when the cache was read, in this stage or another.

    All stages that are served are tried, so that what was begun is finished first, however old the
    cache is.
    """

    stage: StageKey
    items_max: int | None  # that the job may have in flight
    ready: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The candidates by project, best first, as they were read once. Never changed.

    `ends` are where the projects' arcs end on the circle of turns: see CandidatesCache.
    """

    projects: tuple[tuple[Candidate, ...], ...] = ()
    ends: tuple[float, ...] = ()
    age: int = -1  # of the cache, when it was about to be read
    generation: int = 0  # of `claimable`, at that moment
    read_at: float = -math.inf

    @classmethod
    def of(
        cls, projects: Mapping[str, Sequence[Candidate]], age: int, generation: int, read_at: float
    ) -> Snapshot:
        names = sorted(projects)
        ends = tuple(accumulate(map(_weight, names)))
        return cls(tuple(tuple(projects[name]) for name in names), ends, age, generation, read_at)

    @property
    def size(self) -> int:
        return sum(map(len, self.projects))

    def in_order(self, turn: float) -> Iterator[Candidate]:
        """All candidates: those of the project whose turn it is, then of the others."""
        if not self.projects:
            return
        first = min(bisect(self.ends, turn * self.ends[-1]), len(self.projects) - 1)
        for place in range(len(self.projects)):
            yield from self.projects[(first + place) % len(self.projects)]


class CandidatesCache:
    """Where a process keeps the last snapshot for some `Wanted`, and whose turn it is.

    Any thread may use it. `turn` goes round a circle on which each project has an arc as long as
    its weight, by the golden ratio: so any stretch of claims is shared out by weight, and none
    waits for its turn for more than three times the total of all weights over its own.

    A snapshot is stale once the board's age or the process' generation of claimable work differs
    from what it was before the snapshot was read: what changed meanwhile may be missing from it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = random.random()
        self._age = 0
        self._snapshot = Snapshot()

    def fresh(self) -> Snapshot | None:
        """The last snapshot, if it may still be gone by."""
        with self._lock:
            known, age = self._snapshot, self._age
        is_young = time.monotonic() < known.read_at + limits().candidates_seconds
        is_current = known.age == age and known.generation == claimable.generation()
        return known if known.projects and is_current and is_young else None

    def read(self, wanted: Wanted) -> Snapshot:
        """A new snapshot, read after this was called; kept, unless a newer one is."""
        with self._lock:
            age = self._age
        generation, read_at = claimable.generation(), time.monotonic()
        snapshot = Snapshot.of(_waiting(wanted), age, generation, read_at)
        with self._lock:
            if snapshot.read_at > self._snapshot.read_at:
                self._snapshot = snapshot
        return snapshot

    def take_turn(self) -> float:
        with self._lock:
            self._turn = self._following()
            return self._turn

    def coming_turn(self) -> float:
        """As the next claim will have it; changes nothing."""
        with self._lock:
            return self._following()

    def passed_over(self, snapshot: Snapshot, candidates: int) -> None:
        """A claim found nothing free in so many: read the cache anew if the snapshot is worn."""
        if candidates > max(_PASSED_OVER_MAX, snapshot.size // 16):
            with self._lock:
                if self._snapshot is snapshot:
                    self._age += 1

    def _following(self) -> float:
        return (self._turn + _GOLDEN) % 1.0


# Threads: read and changed under the lock only; a cache has a lock of its own.
_caches: dict[tuple[str, Wanted], CandidatesCache] = {}
_caches_lock = threading.Lock()  # Threads: replaced after a fork only, by the one there is


def _begin_anew() -> None:
    """Each process has turns of its own; a lock that another thread held stays held in a fork."""
    global _caches, _caches_lock
    _caches, _caches_lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)


def cache_for(wanted: Wanted) -> CandidatesCache:
    """This process's cache for `wanted`."""
    key = alias(), wanted
    with _caches_lock:
        if len(_caches) > _CACHES_MAX:
            _caches.clear()
        return _caches.setdefault(key, CandidatesCache())


@repeated
def _waiting(wanted: Wanted) -> dict[str, list[Candidate]]:
    rows = fetch(
        connection(),
        "claim/claimable_stages",
        **wanted.as_params(),
        priority_step_seconds=limits().priority_step_seconds,
    )
    projects: dict[str, list[Candidate]] = {}
    for job, stage, project, items_max, ready in rows:
        candidate = Candidate((job, stage), items_max, bool(ready))
        projects.setdefault(project, []).append(candidate)
    return projects


def _weight(project: str) -> float:
    """1, or what `settings.JOBLOT_PROJECT_WEIGHTS` gives the project."""
    weights: Mapping[str, Any] = getattr(settings, "JOBLOT_PROJECT_WEIGHTS", {})
    weight = weights.get(project, 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < 1e9:
        raise InvalidPolicy(
            f"JOBLOT_PROJECT_WEIGHTS[{project!r:.100}]: expected a number above 0, got {weight!r}"
        )
    return float(weight)
