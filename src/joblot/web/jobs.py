"""The page of jobs: a filter, counts of each status, and a page of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from joblot.errors import InvalidInput
from joblot.ledger.read.filters import JobFilters
from joblot.ledger.read.listing import counts, listing
from joblot.web import find
from joblot.web.job_row import JobRow
from joblot.web.page import caller_of, page
from joblot.web.shell import render
from joblot.words import STATUSES

JOBS_PER_PAGE = 50
SORTS = ("name", "created")


@page
@require_safe
def jobs(request: HttpRequest) -> HttpResponseBase:
    """A page of the jobs that match the filter in the address, newest first."""
    given = request.GET.dict()
    if "find" in given:
        kept = {"sort": given["sort"]} if given.get("sort") else {}
        return HttpResponseRedirect(jobs_url(find.parameters(given["find"]) | kept))
    shown: dict[str, Any] = {
        "title": "Jobs",
        "here": "jobs",
        "find": find.text_of(given),
        "sort": given.get("sort", ""),
        "filters": _without_each(given),
        "chips": _chips(given),
        "counts_url": jobs_url(given, "joblot_web:job_counts"),
        "sorts": {
            name: jobs_url(given | {"sort": _turned(given, name), "after": ""}) for name in SORTS
        },
    }
    try:
        found = listing(
            JobFilters.of(given), projects=caller_of(request).projects, limit=JOBS_PER_PAGE
        )
    except InvalidInput as error:
        return render(request, "joblot/jobs.html", shown | {"wrong": str(error)}, status=422)
    shown["rows"] = [JobRow(job) for job in found]
    shown["as_of"] = found.as_of
    is_newest_first = not {*given} - {"sort"} and given.get("sort", "-created") == "-created"
    shown["newest"] = found[0]["id"] if found and is_newest_first else None
    shown["next"] = jobs_url(given | {"after": found.next}) if found.next else ""
    shown["first"] = jobs_url(given | {"after": ""}) if given.get("after") else ""
    return render(request, "joblot/jobs.html", shown)


@page
@require_safe
def job_counts(request: HttpRequest) -> HttpResponseBase:
    """How many jobs of the filter each status has, for the chips, once the rows are there."""
    filters = JobFilters.of(request.GET.dict() | {"after": ""})
    found = counts(filters, projects=caller_of(request).projects)
    return JsonResponse({status.value: str(count) for status, count in found.items()})


def jobs_url(given: Mapping[str, str], name: str = "joblot_web:jobs") -> str:
    """The address of the list with these parameters; a comma in a list stays readable."""
    kept = {name: value for name, value in given.items() if value}
    where = reverse(name)
    return f"{where}?{urlencode(kept, safe=',')}" if kept else where


def _chips(given: Mapping[str, str]) -> list[dict[str, Any]]:
    """For each status: its words, and the address that adds it to the filter or takes it away."""
    chosen = [one for one in given.get("status", "").lower().split(",") if one]
    chips = []
    for status, words in STATUSES.items():
        name = status.value.lower()
        others = [one for one in chosen if one != name]
        wanted = others if name in chosen else [*chosen, name]
        address = jobs_url(given | {"status": ",".join(wanted), "after": ""})
        chips.append({"name": status, "words": words, "url": address, "on": name in chosen})
    return chips


def _without_each(given: Mapping[str, str]) -> list[dict[str, str]]:
    """Each filter, and the address of the list without it."""
    return [
        {"text": find.text_of({name: value}), "url": jobs_url({**given, name: "", "after": ""})}
        for name, value in given.items()
        if value and name not in ("sort", "after")
    ]


def _turned(given: Mapping[str, str], name: str) -> str:
    """What a click on the column sorts by: names from a to z first, the newest jobs first."""
    now = given.get("sort") or "-created"
    usual, other = ("name", "-name") if name == "name" else ("-created", "created")
    return other if now == usual else usual
