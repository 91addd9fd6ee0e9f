"""Whether what ended jobs recorded is still what their tallies say, for the newest of them.

A cheap sign for monitoring; `audit` recounts the items. Momentary after a late success of an ended
job: the report commits first, and the amendment a moment later.
"""

from __future__ import annotations

from django.db.models import Count, Sum

from joblot.config import limits
from joblot.ledger.db.transactions import alias
from joblot.models import Event, Job, Tally
from joblot.states import TERMINAL

_OUTCOMES = ("succeeded", "failed", "lost", "skipped")


def drifted_jobs() -> int:
    """How many of the newest `drift_jobs_max` ended jobs did not record their tallies."""
    ended = Job.ledger.using(alias()).filter(
        deleted_at__isnull=True, status__in=[status.value for status in TERMINAL]
    )
    newest = ended.order_by("-pk").values_list("pk", "recorded")[: limits().drift_jobs_max]
    recorded = {job: stages for job, stages in newest if stages is not None}
    tallied = _tallied(list(recorded))
    return sum(
        any(
            {name: stage[name] for name in _OUTCOMES} != tallied.get((job, position), _NOTHING)
            for position, stage in enumerate(stages)
        )
        for job, stages in recorded.items()
    )


_NOTHING = dict.fromkeys(_OUTCOMES, 0)


def _tallied(jobs: list[int]) -> dict[tuple[int, int], dict[str, int]]:
    rows = Tally.ledger.using(alias()).filter(job_id__in=jobs).order_by()
    sums = rows.values("job_id", "stage").annotate(**{f"sum_{n}": Sum(n) for n in _OUTCOMES})
    return {
        (row["job_id"], row["stage"]): {name: int(row[f"sum_{name}"]) for name in _OUTCOMES}
        for row in sums
    }


def double_finals() -> int:
    """How many runs of the newest jobs have more than one finished event."""
    newest = Job.ledger.using(alias()).order_by("-pk").values("pk")[: limits().drift_jobs_max]
    finals = Event.ledger.using(alias()).filter(kind="finished", job_id__in=newest).order_by()
    twice = finals.values("job_id", "run").annotate(finals=Count("pk")).filter(finals__gt=1)
    return int(twice.count())
