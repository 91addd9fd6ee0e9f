"""For whom there is work now: a hint for those who wait. A claim decides what is taken."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Exists, OuterRef

from joblot import clock
from joblot.ledger.candidates import Wanted
from joblot.ledger.transactions import alias, repeated
from joblot.models import ItemRange, Stage
from joblot.states import CLAIMABLE


@repeated
def ready_for(asked: Collection[Wanted]) -> set[Wanted]:
    """Those for whom a claimable job has a range whose time has come."""
    return {wanted for wanted in asked if _is_ready(wanted)}


def _is_ready(wanted: Wanted) -> bool:
    due = ItemRange.ledger.filter(
        job_id=OuterRef("job_id"), stage=OuterRef("position"), not_before__lte=clock.now()
    )
    stages = Stage.ledger.using(alias()).filter(
        Exists(due),
        pipeline__in=wanted.pipelines,
        job__status__in=CLAIMABLE,
        job__deleted_at__isnull=True,
    )
    if wanted.job is not None:
        stages = stages.filter(job_id=wanted.job)
    if wanted.projects is not None:
        stages = stages.filter(job__project__in=wanted.projects)
    return bool(stages.exists())
