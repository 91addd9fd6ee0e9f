"""Which jobs a claim may be served from, in the order in which they are tried.

A hint only: whether a job may be claimed is decided when its range is locked.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Exists, OuterRef

from joblot import clock
from joblot.config import Policy
from joblot.ledger.transactions import alias, repeated
from joblot.models import ItemRange, Stage
from joblot.states import CLAIMABLE


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
    ready = ItemRange.ledger.filter(
        job_id=OuterRef("job_id"), stage=OuterRef("position"), not_before__lte=clock.now()
    )
    stages = Stage.ledger.using(alias()).filter(
        Exists(ready), pipeline__in=list(pipelines), job__status__in=CLAIMABLE
    )
    if job_id is not None:
        stages = stages.filter(job_id=job_id)
    rows = stages.order_by("-job__priority", "job_id", "-position").values_list(
        "job_id", "position", "job__project", "job__policy"
    )
    grouped: dict[str, list[Candidate]] = {}
    for job, position, project, policy in rows:
        candidate = Candidate(job, position, project, Policy(**policy).lease_seconds)
        grouped.setdefault(project, []).append(candidate)
    return grouped


def _draw(waiting: Mapping[str, list[Candidate]]) -> str:
    """A project at random; `settings.JOBLOT_PROJECT_WEIGHTS` gives one more or less than 1."""
    weights: Mapping[str, float] = getattr(settings, "JOBLOT_PROJECT_WEIGHTS", {})
    projects = list(waiting)
    return random.choices(projects, [weights.get(project, 1.0) for project in projects])[0]
