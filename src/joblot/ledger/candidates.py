"""Which jobs a claim may be served from, in the order in which they are tried.

A hint only: whether a job may be claimed is decided when its range is locked.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from django.conf import settings

from joblot.ledger import queue
from joblot.ledger.statements import fetch
from joblot.ledger.transactions import connection, repeated


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job's stage that has a range whose time has come."""

    job_id: int
    stage: int
    project: str
    lease_seconds: float


def candidates(pipelines: Collection[str], job_id: int | None) -> Iterator[Candidate]:
    """Stages to claim from: a project drawn by weight, inside it by priority, then age.

    Of one job, the latest stage first, so that what was begun is finished.
    """
    waiting = _by_project(pipelines, job_id)
    while waiting:
        project = _draw(waiting)
        yield from waiting.pop(project)


@repeated
def _by_project(pipelines: Collection[str], job_id: int | None) -> dict[str, list[Candidate]]:
    rows = fetch(
        connection(),
        "claimable_stages",
        pipelines=json.dumps(list(pipelines)),
        job=job_id,
        floors=json.dumps(queue.floors()),
    )
    grouped: dict[str, list[Candidate]] = {}
    for job, stage, project, lease_seconds in rows:
        candidate = Candidate(job, stage, project, float(lease_seconds))
        grouped.setdefault(project, []).append(candidate)
    return grouped


def _draw(waiting: Mapping[str, list[Candidate]]) -> str:
    """A project at random; `settings.JOBLOT_PROJECT_WEIGHTS` gives one more or less than 1."""
    weights: Mapping[str, float] = getattr(settings, "JOBLOT_PROJECT_WEIGHTS", {})
    projects = list(waiting)
    return random.choices(projects, [weights.get(project, 1.0) for project in projects])[0]
