"""Results that a hook or the storage refuses."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Max, Min

from joblot.ledger.read.reasons.reason import Asked, Reason, reason
from joblot.ledger.rows.deferrals import current
from joblot.shown import at, counted_and


def of_deferrals(asked: Asked) -> Iterator[Reason]:
    rows = current(job_id=asked.job.pk)
    groups = rows.order_by().values("stage", "source")
    sums = groups.annotate(results=Count("number"), first=Min("first_at"), last=Max("last_at"))
    for one in sums.order_by("first"):
        mine = rows.filter(stage=one["stage"], source=one["source"])
        cause = mine.order_by("-last_at").values_list("cause", flat=True).first()
        results = one["results"]
        text = (
            f"{counted_and(results, 'result', 'was', 'were')} deferred because {cause}, since "
            f"{at(one['first'], asked.now)}, last at {at(one['last'], asked.now)}"
        )
        yield reason("deferred", text, results, since=one["first"], link="log")
