"""What pages follow: snapshots of a job as a stream, one of them, and those of a list's jobs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, JsonResponse, QueryDict
from django.views.decorators.http import require_safe

from joblot.api.live import live_stream
from joblot.ledger.read.filters import JobFilters
from joblot.ledger.read.snapshot import newer_jobs, snapshot, snapshots
from joblot.web.ids import ids_of
from joblot.web.page import caller_of, page, require_sight

JOBS_MAX = 100  # of one request; a list shows fewer at once


@page
@require_safe
def live(request: HttpRequest, job_id: int) -> HttpResponseBase:
    require_sight(request, job_id)
    return live_stream(request, job_id)


@page
@require_safe
def one_snapshot(request: HttpRequest, job_id: int) -> HttpResponseBase:
    require_sight(request, job_id)
    return JsonResponse(snapshot(job_id))


@page
@require_safe
def many_snapshots(request: HttpRequest) -> HttpResponseBase:
    """Those of the jobs in `ids` that exist and that the person may see; with `newest`, the id of
    a job, also how many `newer` ones match the `filter` of the list.
    """
    caller = caller_of(request)
    found = snapshots(ids_of("ids", request.GET.get("ids", ""), JOBS_MAX))
    newest = ids_of("newest", request.GET.get("newest", ""), 1)
    given = QueryDict(request.GET.get("filter", "")).dict()
    filters = JobFilters.of(given, me=caller.names)
    newer = newer_jobs(newest[0], filters, projects=caller.projects) if newest else 0
    seen = [one for one in found if caller.sees(one["project"])]
    return JsonResponse({"jobs": seen, "newer": newer})
