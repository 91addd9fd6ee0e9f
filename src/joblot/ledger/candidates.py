"""Which jobs a claim may be served from, in the order in which they are tried.

A process reads the candidates once in a while and keeps them on a board. The board is a hint:
whether a job may be claimed is decided when its range is locked, and no claim goes away empty
before the board was read anew.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from django.conf import settings
from django.db import transaction

from joblot.config import limits
from joblot.errors import InvalidPolicy
from joblot.ledger import queue
from joblot.ledger.names import checked_name
from joblot.ledger.queue import StageKey
from joblot.ledger.statements import fetch
from joblot.ledger.transactions import alias, connection, repeated

_BOARDS_MAX = 1_024
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
    """A stage of a job that had something ready when the board was read, in this stage or another.

    All stages that are served are tried, so that what was begun is finished first, however old the
    board is.
    """

    stage: StageKey
    items_max: int | None  # that the job may have in flight
    ready: bool


@dataclass(slots=True)
class Board:
    """The candidates by project, best first, and whose turn it is.

    `turn` goes round a circle on which each project has an arc as long as its weight, by the
    golden ratio: so any stretch of claims is shared out by weight, and none waits for its turn
    for more than three times the total of all weights over its own.
    """

    turn: float = field(default_factory=random.random)
    projects: list[list[Candidate]] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)  # of the arcs
    size: int = 0
    reread_at: float = 0.0

    def post(self, projects: Mapping[str, list[Candidate]]) -> None:
        """Put up what was read."""
        names = sorted(projects)
        self.ends = list(accumulate(map(_weight, names)))
        self.projects = [projects[name] for name in names]
        self.size = sum(map(len, self.projects))
        self.reread_at = time.monotonic() + limits().candidates_seconds

    def next_turn(self) -> float:
        self.turn = self._following()
        return self.turn

    def in_order(self, turn: float | None = None) -> Iterator[Candidate]:
        """All candidates: those of the project whose turn it is, then of the others.

        Without a `turn`, as the next claim will find them.
        """
        projects, ends = self.projects, self.ends
        if not projects:
            return
        at = self._following() if turn is None else turn
        first = min(bisect(ends, at * ends[-1]), len(projects) - 1)
        for place in range(len(projects)):
            yield from projects[(first + place) % len(projects)]

    def passed_over(self, candidates: int) -> None:
        """A claim found nothing free in so many: read the board anew if it is worn."""
        if candidates > max(_PASSED_OVER_MAX, self.size // 16):
            self.reread_at = 0.0

    def _following(self) -> float:
        return (self.turn + _GOLDEN) % 1.0


_boards: dict[tuple[str, Wanted], Board] = {}
os.register_at_fork(after_in_child=_boards.clear)  # each process has turns of its own


def board(wanted: Wanted, *, anew: bool = False) -> tuple[Board, bool]:
    """This process's board for `wanted`; and True if it was read just now."""
    if len(_boards) > _BOARDS_MAX:
        _boards.clear()
    known = _boards.setdefault((alias(), wanted), Board())
    if not anew and known.projects and time.monotonic() < known.reread_at:
        return known, False
    known.post(_waiting(wanted))
    return known, True


def forget() -> None:
    """Read every board anew before it is used again: something may be claimed that was not.

    Said where that begins in this process, so that who submits and claims at once meets the order
    that he expects; of other processes it is known within `candidates_seconds`.
    """
    _wear_out()
    if connection().in_atomic_block:
        transaction.on_commit(_wear_out, using=alias())


def _wear_out() -> None:
    for known in list(_boards.values()):
        known.reread_at = 0.0


@repeated
def _waiting(wanted: Wanted) -> dict[str, list[Candidate]]:
    rows = fetch(
        connection(),
        "claimable_stages",
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
