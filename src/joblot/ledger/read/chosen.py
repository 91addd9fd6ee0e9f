"""The jobs that a person has chosen in a list, to act on them together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from joblot.config import limits
from joblot.ledger.db.transactions import alias, one_snapshot, repeated
from joblot.ledger.read.filters import JobFilters
from joblot.ledger.read.listing import Count, matching
from joblot.ledger.read.progress import progress_of
from joblot.models import Job


@dataclass(frozen=True, slots=True)
class Chosen:
    """`jobs`, each as returned by `progress`, by id. If `is_over`, they are more than one act
    covers, and the rest is left out.
    """

    jobs: tuple[dict[str, Any], ...]
    is_over: bool = False


@repeated
@one_snapshot()
def chosen(
    which: JobFilters | Collection[int], *, projects: Collection[str] | None = None
) -> Chosen:
    """The jobs with these ids, or all that match a filter, in these projects (None: in all).

    Jobs that do not exist, or are in other projects, are left out.
    """
    if isinstance(which, JobFilters):
        rows = matching(which, projects, which.status)
    else:
        rows = Job.ledger.using(alias()).filter(pk__in=sorted(which), deleted_at__isnull=True)
        rows = rows if projects is None else rows.filter(project__in=sorted(projects))
    most = limits().bulk_jobs_max
    found = list(rows.order_by("pk").values_list("pk", flat=True)[: most + 1])
    return Chosen(tuple(progress_of(found[:most]) if found else ()), len(found) > most)


@repeated
def count_chosen(filters: JobFilters, *, projects: Collection[str] | None = None) -> Count:
    """How many jobs `chosen` finds for the filter; counted up to what one act covers."""
    most = limits().bulk_jobs_max
    found = matching(filters, projects, filters.status)[: most + 1].count()
    return Count(min(found, most), found > most)
