"""Jobs by a filter, a page at a time, and how many jobs of the filter are in each status."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from joblot.config import limits
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection, one_snapshot, repeated
from joblot.ledger.read.filters import JobFilters, When
from joblot.ledger.read.progress import progress_of
from joblot.models import Job, Stage
from joblot.states import JobStatus


class JobsPage(list[dict[str, Any]]):
    """Jobs as they were at `as_of`; `next` is the `after` of the next page, None on the last."""

    as_of: str = ""
    next: str | None = None


class Count(NamedTuple):
    """A number of jobs; if it is `over`, there are more, and nobody counted them."""

    jobs: int
    over: bool

    def __str__(self) -> str:
        return f"over {self.jobs:,}" if self.over else f"{self.jobs:,}"


@repeated
@one_snapshot()
def listing(
    filters: JobFilters,
    *,
    projects: Collection[str] | None = None,
    before: int | None = None,
    limit: int = 50,
) -> JobsPage:
    """A page of the jobs that match, each as returned by `progress`, in the filter's order.

    `projects` are those that the caller may see (None: all). `before` keeps jobs with a smaller id.
    Pass the page's `next` as the filter's `after` to get the next page: it names the sort value and
    the id of the last job, so each job is on one page, whatever they have in common.
    """
    size = max(1, min(limit, limits().page_items_max))
    rows = matching(filters, projects, filters.status)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(_ordered(rows, filters).values_list("pk", flat=True)[: size + 1])
    page = JobsPage(progress_of(found[:size]) if found else ())
    page.as_of = page[0]["as_of"] if page else _now().isoformat()
    page.next = filters.cursor(page[-1]) if len(found) > size else None
    return page


@repeated
@one_snapshot()
def counts(
    filters: JobFilters, *, projects: Collection[str] | None = None
) -> dict[JobStatus, Count]:
    """For each status, the number of jobs that the filter would show if it named this status.

    Counts end at `jobs_counted_max`.
    """
    most = limits().jobs_counted_max
    found = {
        status: matching(filters, projects, (status,))[: most + 1].count() for status in JobStatus
    }
    return {status: Count(min(jobs, most), jobs > most) for status, jobs in found.items()}


def matching(
    filters: JobFilters, projects: Collection[str] | None, statuses: Collection[JobStatus]
) -> QuerySet[Any]:
    """The jobs of these statuses that match the rest of the filter, in no order."""
    rows: QuerySet[Any] = Job.ledger.using(alias()).filter(deleted_at__isnull=True)
    if statuses:
        rows = rows.filter(status__in=[one.value for one in statuses])
    if projects is not None:
        rows = rows.filter(project__in=sorted(projects))
    if filters.project:
        rows = rows.filter(project__in=filters.project)
    if filters.pipeline:
        stages = Stage.ledger.filter(pipeline__in=filters.pipeline)
        rows = rows.filter(pk__in=stages.values("job_id"))
    if filters.owner:
        rows = rows.filter(_owned(filters.owner))
    if filters.q:
        rows = rows.filter(_named(filters.q))
    if filters.since is not None:
        rows = rows.filter(created_at__gte=_moment_of(filters.since))
    if filters.until is not None:
        rows = rows.filter(created_at__lt=_moment_of(filters.until))
    return rows


def _owned(names: tuple[str, ...]) -> Q:
    """One owner as a range of one value: PostgreSQL drops an equal column from the order."""
    first, *others = names
    return Q(owner__in=names) if others else Q(owner__range=(first, first))


def _named(q: str) -> Q:
    """`#7` is the job with this id; anything else is part of a name."""
    number = q.removeprefix("#")
    if q.startswith("#") and number.isascii() and number.isdigit() and len(number) < 19:
        return Q(pk=int(number))
    return Q(name__icontains=q)


def _ordered(rows: QuerySet[Any], filters: JobFilters) -> QuerySet[Any]:
    """Jobs get their ids in the order in which they are created, so that order needs no time.

    Those of one owner are ordered by the owner first, which changes nothing, but only their own
    index serves it: a plan can't walk all jobs to find the few of an owner.
    """
    field, downwards = filters.sort.lstrip("-"), filters.sort.startswith("-")
    minus, behind = ("-", "lt") if downwards else ("", "gt")
    if field == "name":
        rows = rows.order_by(f"{minus}name", f"{minus}pk")
    else:
        of_one = [f"{minus}owner"] if len(filters.owner) == 1 else []
        rows = rows.order_by(*of_one, f"{minus}pk")
    if filters.after is None:
        return rows
    value, job_id = filters.after
    if field != "name":
        return rows.filter(**{f"pk__{behind}": job_id})
    same = Q(name=value, **{f"pk__{behind}": job_id})
    return rows.filter(Q(**{f"name__{behind}": value}) | same, **{f"name__{behind}e": value})


def _moment_of(when: When) -> datetime:
    return _now() - when if isinstance(when, timedelta) else when


def _now() -> datetime:
    ((now,),) = fetch(connection(), "db/clock")
    return moment(now)
