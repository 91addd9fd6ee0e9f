"""Which pipelines have work now: a hint for those who wait. A claim decides what is taken."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Exists, OuterRef

from joblot import clock
from joblot.ledger.transactions import alias, repeated
from joblot.models import ItemRange, Stage
from joblot.states import CLAIMABLE


@repeated
def ready_pipelines(pipelines: Collection[str]) -> set[str]:
    """Those of `pipelines` for which a claimable job has a range whose time has come."""
    due = ItemRange.ledger.filter(
        job_id=OuterRef("job_id"), stage=OuterRef("position"), not_before__lte=clock.now()
    )
    stages = Stage.ledger.using(alias()).filter(
        Exists(due),
        pipeline__in=pipelines,
        job__status__in=CLAIMABLE,
        job__deleted_at__isnull=True,
    )
    return set(stages.values_list("pipeline", flat=True).distinct())
