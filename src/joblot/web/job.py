"""The page of a job."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from joblot.ledger.read.snapshot import snapshot
from joblot.web.page import caller_of, page, require_sight
from joblot.web.shell import render


@page
@require_safe
def job(request: HttpRequest, job_id: int) -> HttpResponseBase:
    row = require_sight(request, job_id)
    context = {
        "title": row.name,
        "here": "jobs",
        "row": row,
        "job": snapshot(job_id),
        "may_operate": caller_of(request).may_operate(row.project),
    }
    return render(request, "joblot/job.html", context)
