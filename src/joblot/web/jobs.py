"""The page of jobs: a filter, counts of each status, and a page of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.views.decorators.http import require_safe

from joblot.errors import InvalidInput
from joblot.ledger.job.bulk import BULK
from joblot.ledger.read.chosen import count_chosen
from joblot.ledger.read.filters import ME, JobFilters
from joblot.ledger.read.listing import JobsPage, counts, listing
from joblot.ledger.read.pace import paces
from joblot.web import find
from joblot.web.job_row import JobRow
from joblot.web.page import caller_of, page
from joblot.web.paths import jobs_url
from joblot.web.shell import render
from joblot.web.visitor import Visitor
from joblot.words import STATUSES

JOBS_PER_PAGE = 50
OF_THE_PAGE = ("sort", "after")  # parameters that do not change which jobs match
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
        "mine": _mine(given),
        "sorts": {
            name: jobs_url(given | {"sort": _turned(given, name), "after": ""}) for name in SORTS
        },
    }
    caller = caller_of(request)
    try:
        filters = JobFilters.of(given, me=caller.names)
        found = listing(filters, projects=caller.projects, limit=JOBS_PER_PAGE)
    except InvalidInput as error:
        return render(request, "joblot/jobs.html", shown | {"wrong": str(error)}, status=422)
    return render(request, "joblot/jobs.html", shown | _page(caller, given, found))


def _page(caller: Visitor, given: Mapping[str, str], found: JobsPage) -> dict[str, Any]:
    pace = paces(found)
    rows = [JobRow(job, pace[job["id"]], caller.may_operate(job["project"])) for job in found]
    filter_ = {name: value for name, value in given.items() if name not in OF_THE_PAGE and value}
    is_first = not given.get("after") and given.get("sort", "-created") == "-created"
    return {
        "rows": rows,
        "as_of": found.as_of,
        "filter": urlencode(filter_, safe=","),
        "newest": found[0]["id"] if found and is_first else None,
        "selects": any(row.is_mine_to_change for row in rows),
        "acts": BULK,
        "next": jobs_url({**given, "after": found.next}) if found.next else "",
        "first": jobs_url({**given, "after": ""}) if given.get("after") else "",
    }


@page
@require_safe
def job_counts(request: HttpRequest) -> HttpResponseBase:
    """For the chips, once the rows are there: how many jobs of the filter each status has; and how
    many `match` it that the person may change.
    """
    caller = caller_of(request)
    filters = JobFilters.of(request.GET.dict() | {"after": ""}, me=caller.names)
    found = counts(filters, projects=caller.projects)
    shown = {status.value: str(count) for status, count in found.items()}
    if caller.operates_any:
        shown["match"] = str(count_chosen(filters, projects=caller.operates))
    return JsonResponse(shown)


def _chips(given: dict[str, str]) -> list[dict[str, Any]]:
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


def _mine(given: Mapping[str, str]) -> dict[str, Any]:
    """The chip that shows only the person's own jobs."""
    is_on = given.get("owner") == ME
    return {"url": jobs_url({**given, "owner": "" if is_on else ME, "after": ""}), "on": is_on}


def _without_each(given: Mapping[str, str]) -> list[dict[str, str]]:
    """Each filter, and the address of the list without it."""
    return [
        {"text": find.text_of({name: value}), "url": jobs_url({**given, name: "", "after": ""})}
        for name, value in given.items()
        if value and name not in OF_THE_PAGE
    ]


def _turned(given: Mapping[str, str], name: str) -> str:
    """What a click on the column sorts by: names from a to z first, the newest jobs first."""
    now = given.get("sort") or "-created"
    usual, other = ("name", "-name") if name == "name" else ("-created", "created")
    return other if now == usual else usual
