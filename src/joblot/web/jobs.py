"""The page of jobs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from joblot.ledger.read.progress import jobs as jobs_page
from joblot.web.page import caller_of, page
from joblot.web.shell import render

JOBS_PER_PAGE = 50


@page
@require_safe
def jobs(request: HttpRequest) -> HttpResponseBase:
    found = jobs_page(projects=caller_of(request).projects, limit=JOBS_PER_PAGE)
    return render(request, "joblot/jobs.html", {"title": "Jobs", "here": "jobs", "jobs": found})
