"""What pages follow: snapshots of a job as a stream, one of them, and those of a list's jobs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_safe

from joblot.api.live import live_stream
from joblot.api.schemas.common import BIGINT_MAX
from joblot.errors import InvalidInput
from joblot.ledger.read.snapshot import newer_jobs, snapshot, snapshots
from joblot.shown import shown
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
    a job, also how many `newer` ones there are.
    """
    caller = caller_of(request)
    found = snapshots(_ids("ids", request.GET.get("ids", "")))
    newest = _ids("newest", request.GET.get("newest", ""))
    newer = newer_jobs(newest[0], projects=caller.projects) if newest else 0
    seen = [one for one in found if caller.sees(one["project"])]
    return JsonResponse({"jobs": seen, "newer": newer})


def _ids(name: str, given: str) -> list[int]:
    """Raises InvalidInput."""
    texts = given.split(",") if given else []
    are_numbers = all(text.isascii() and text.isdigit() and len(text) < 20 for text in texts)
    ids = [int(text) for text in texts] if are_numbers else []
    if not are_numbers or len(ids) > JOBS_MAX or any(number > BIGINT_MAX for number in ids):
        raise InvalidInput(
            f"{name}: expected at most {JOBS_MAX} ids of jobs, as 1,2,3; got {shown(given, 60)}"
        )
    return ids
