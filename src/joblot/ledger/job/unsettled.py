"""How many items of a job are not settled in its last stage, and a change only at that number."""

from __future__ import annotations

from django.db.models import F, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from joblot.errors import NumberChanged
from joblot.ledger.db.transactions import alias, repeated
from joblot.ledger.rows.job import stages_of
from joblot.ledger.rows.tallies import COLUMNS
from joblot.models import Job, Tally
from joblot.shown import counted


def require_unsettled(job: Job, expected: int, *, or_fewer: bool = False) -> None:
    """Raises NumberChanged if another number of the job's items is not settled now."""
    found = _unsettled(job)
    if found > expected or (found < expected and not or_fewer):
        raise NumberChanged(
            f"job {job.pk}: expected {counted(expected, 'unsettled item')}, found {found:,}; "
            "nothing was changed; look again, and repeat with the new number",
            expected,
            found,
        )


@repeated
def _unsettled(job: Job) -> int:
    of_last = Tally.ledger.using(alias()).filter(job_id=job.pk, stage=_last_stage(job))
    sums = of_last.aggregate(**{name: Sum(name, default=0) for name in COLUMNS.values()})
    return int(job.total - sum(sums.values()))


def still_unsettled(job: Job, expected: int, *, or_fewer: bool = False) -> Q:
    """The condition under which a change may be written: it is counted by the same statement.

    A report changes no row of the job, so the version alone would not notice it.
    """
    settled = Coalesce(Subquery(_settled_in(_last_stage(job))), 0, output_field=IntegerField())
    return Q(total__lte=settled + expected) if or_fewer else Q(total=settled + expected)


def _settled_in(stage: int) -> QuerySet[Tally]:
    of_stage = Tally.ledger.filter(job_id=OuterRef("pk"), stage=stage).values("job_id")
    all_of_them = sum((F(name) for name in COLUMNS.values()), start=F("succeeded") * 0)
    found: QuerySet[Tally] = of_stage.annotate(settled=Sum(all_of_them)).values("settled")
    return found


def _last_stage(job: Job) -> int:
    return len(stages_of(job.pk)) - 1
