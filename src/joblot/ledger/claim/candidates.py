"""The candidates cache: which jobs a claim may be served from, in the order they are tried.

A process reads the candidates from time to time and caches that snapshot. The snapshot is a hint:
whether a job may be claimed is decided when its range is locked, and no claim returns empty-handed
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
_PASSED_OVER_MAX = 8  # or 1/16 of a long snapshot: walking it costs less than reading a new one
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller serves: pipelines, of one job or all jobs, of some projects or all."""

    pipelines: tuple[str, ...]
    job: int | None = None
    projects: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls, pipelines: str | Iterable[str], job: int | None, projects: Collection[str] | None
    ) -> Wanted:
        """Raises InvalidInput for an invalid pipeline name."""
        names = [pipelines] if isinstance(pipelines, str) else pipelines
        checked = {checked_name(name, "pipeline") for name in names}
        some = None if projects is None else tuple(sorted(projects))
        return cls(tuple(sorted(checked)), job, some)

    def as_params(self) -> dict[str, str | int | None]:
        """Parameters for the statements, with the known floors of the ranges."""
        return {
            "pipelines": json.dumps(self.pipelines),
            "job": self.job,
            "projects": None if self.projects is None else json.dumps(self.projects),
            "floors": json.dumps(queue.floors()),
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stage of a job that had a ready range when the snapshot was read, in this stage or another.

    All stages that are served are tried, so that items that are under way are finished first,
    however old the snapshot is.
    """

    stage: StageKey
    items_max: int | None  # how many items the job may have in flight
    ready: bool
    rated: bool = False  # whether the job had a rate limit
    limited: str | None = None  # the stage's pipeline, if it had a limit


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The candidates by project, best first, as read at one moment. Immutable.

    `ends` are the points where the projects' arcs end on the circle of turns: see CandidatesCache.
    """

    projects: tuple[tuple[Candidate, ...], ...] = ()
    ends: tuple[float, ...] = ()
    age: int = -1  # the cache's age just before the read
    generation: int = 0  # the generation of `claimable` at that moment
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
        """All candidates: first those of the project whose turn it is, then the others."""
        if not self.projects:
            return
        first = min(bisect(self.ends, turn * self.ends[-1]), len(self.projects) - 1)
        for place in range(len(self.projects)):
            yield from self.projects[(first + place) % len(self.projects)]


class CandidatesCache:
    """Keeps the last snapshot of the candidates for one `Wanted`, and whose turn it is.

    Thread-safe. `turn` advances by the golden ratio around a circle on which each project has an
    arc as long as its weight. So any sequence of claims is shared by weight, and a project waits
    for its turn at most 3 * (total of all weights / its weight) claims.

    A snapshot is stale once the cache's age, or the process's generation of claimable work, differs
    from what it was just before the snapshot was read: later changes may be missing from it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = random.random()
        self._age = 0
        self._snapshot = Snapshot()

    def fresh(self) -> Snapshot | None:
        """The last snapshot, or None if it is stale or empty."""
        with self._lock:
            known, age = self._snapshot, self._age
        is_young = time.monotonic() < known.read_at + limits().candidates_seconds
        is_current = known.age == age and known.generation == claimable.generation()
        return known if known.projects and is_current and is_young else None

    def read(self, wanted: Wanted) -> Snapshot:
        """Read a new snapshot, after this call began; cached unless a newer one already is."""
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
        """The turn of the next claim. Changes nothing."""
        with self._lock:
            return self._following()

    def passed_over(self, snapshot: Snapshot, candidates: int) -> None:
        """A claim found nothing free in this many candidates. If they are too many, the snapshot
        becomes stale.
        """
        if candidates > max(_PASSED_OVER_MAX, snapshot.size // 16):
            with self._lock:
                if self._snapshot is snapshot:
                    self._age += 1

    def _following(self) -> float:
        return (self._turn + _GOLDEN) % 1.0


# Threads: read and changed under the lock only; each cache has its own lock.
_caches: dict[tuple[str, Wanted], CandidatesCache] = {}
_caches_lock = threading.Lock()  # Threads: replaced only after a fork, by the child's one thread


def _reset_after_fork() -> None:
    """Each process has its own turns, and a lock held by another thread stays locked in a fork."""
    global _caches, _caches_lock
    _caches, _caches_lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_reset_after_fork)


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
    for job, stage, project, items_max, ready, rated, limited in rows:
        candidate = Candidate((job, stage), items_max, bool(ready), bool(rated), limited)
        projects.setdefault(project, []).append(candidate)
    return projects


def _weight(project: str) -> float:
    """The project's weight in `settings.JOBLOT_PROJECT_WEIGHTS`; 1 by default."""
    weights: Mapping[str, Any] = getattr(settings, "JOBLOT_PROJECT_WEIGHTS", {})
    weight = weights.get(project, 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < 1e9:
        raise InvalidPolicy(
            f"JOBLOT_PROJECT_WEIGHTS[{project!r:.100}]: expected a number above 0, got {weight!r}"
        )
    return float(weight)
