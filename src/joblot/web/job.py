"""The page of a job."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from joblot.ledger.read.progress import progress
from joblot.web.page import page, require_sight
from joblot.web.shell import render


@page
@require_safe
def job(request: HttpRequest, job_id: int) -> HttpResponseBase:
    require_sight(request, job_id)
    found = progress(job_id)
    return render(
        request, "joblot/job.html", {"title": found["name"], "here": "jobs", "job": found}
    )
