"""Sample: write down the progress of the jobs that are worked on, so that rates can be read later.

A job has at most one sample per tick of `SAMPLE_SECONDS`, and fewer of them as they grow old.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Exists, F, OuterRef

from joblot.config import limits
from joblot.errors import Unavailable
from joblot.ledger.db.statements import execute, fetch, moment
from joblot.ledger.db.transactions import alias, connection, durable, repeated
from joblot.ledger.rows.sampling import SAMPLE_SECONDS, THIN_EVERY_TICKS, THINNED
from joblot.ledger.rows.sweep_failures import Step, each, put_off
from joblot.models import Job, Sample
from joblot.states import ACCEPTING


def sample() -> None:
    """Sample all jobs that are due, in one statement.

    If that fails, each is sampled alone: the one at fault is put off and the others proceed. Raises
    Unavailable.
    """
    tick = _tick()
    due = _due(tick)
    if not due:
        return
    try:
        _sample(due, tick)
    except Unavailable:
        raise
    except Exception:  # noqa: BLE001 (it is raised again, and recorded, for the job at fault)
        each(Step.SAMPLE, due, sample_of)


def sample_of(job_id: int) -> None:
    """The same for one job, which may have been put off. Raises any error."""
    _sample([job_id], _tick())


@repeated
def _tick() -> int:
    ((now,),) = fetch(connection(), "db/clock")
    return int(moment(now).timestamp() // SAMPLE_SECONDS)


@repeated
def _due(tick: int) -> list[int]:
    """Jobs that have been started and not ended, and have no sample of this tick."""
    sampled = Sample.ledger.filter(job_id=OuterRef("pk"), tick=tick)
    jobs = Job.ledger.using(alias()).filter(
        status__in=ACCEPTING, started_at__isnull=False, deleted_at__isnull=True
    )
    jobs = jobs.exclude(Exists(sampled)).exclude(put_off(Step.SAMPLE, "pk"))
    return list(jobs.values_list("pk", flat=True)[: limits().sweep_jobs_batch])


@repeated
def _sample(job_ids: Sequence[int], tick: int) -> None:
    with durable() as conn:
        execute(conn, "maintain/write_samples", jobs=list(job_ids), tick=tick)
        if tick % THIN_EVERY_TICKS == 0:
            _thin(job_ids, tick)


def _thin(job_ids: Sequence[int], tick: int) -> None:
    mine = Sample.ledger.using(alias()).filter(job_id__in=job_ids)
    for age, every in THINNED:
        old = mine.filter(tick__lt=tick - age).alias(rest=F("tick") % every)
        old.exclude(rest=0).delete()
