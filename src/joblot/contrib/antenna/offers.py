"""Jobs for a worker that asks first for a job, and then for its items until there are none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from joblot import clock
from joblot.ledger.claim import candidates
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.db.transactions import alias, repeated
from joblot.models import ItemRange, Stage
from joblot.states import CLAIMABLE


@dataclass(frozen=True, slots=True)
class Offer:
    """A stage of a job that has items to claim."""

    job: int
    stage: int  # its position
    pipeline: str


def offers(pipelines: Iterable[str], projects: Collection[str] | None = None) -> Iterator[Offer]:
    """The stages with items to claim now, in the order of claims.

    A call takes a turn, as a claim does: the next call is offered another project first. Claims
    nothing. Raises InvalidInput for an invalid pipeline name.
    """
    wanted = Wanted.of(pipelines, None, projects)
    cache = candidates.cache_for(wanted)
    snapshot = cache.read(wanted)
    for candidate in snapshot.in_order(cache.take_turn()):
        if candidate.ready:
            job, position = candidate.stage
            yield Offer(job, position, _pipeline(job, position))


@repeated
def _pipeline(job: int, position: int) -> str:
    stages = Stage.objects.using(alias()).filter(job_id=job, position=position)
    return str(stages.values_list("pipeline", flat=True).get())


@repeated
def others_wait(
    job_id: int, pipelines: Collection[str] | None, projects: Collection[str] | None
) -> bool:
    """True if any other job has items to claim. None for the names means all of them."""
    due = ItemRange.objects.filter(
        job_id=OuterRef("job_id"), stage=OuterRef("position"), not_before__lte=clock.now()
    )
    stages = Stage.objects.using(alias()).filter(Exists(due), job__status__in=CLAIMABLE)
    if pipelines is not None:
        stages = stages.filter(pipeline__in=pipelines)
    if projects is not None:
        stages = stages.filter(job__project__in=projects)
    return stages.exclude(job_id=job_id).exists()
