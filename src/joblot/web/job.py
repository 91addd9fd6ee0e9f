"""The page of a job."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from joblot.ledger.read.acts import Act
from joblot.ledger.read.overview import overview
from joblot.ledger.read.throughput import WINDOWS
from joblot.ledger.rows.log import LEVELS
from joblot.web import chart
from joblot.web.map_panel import asked, panel
from joblot.web.page import caller_of, page, require_sight
from joblot.web.sentences import basis, share
from joblot.web.shell import render
from joblot.web.stages import rows_of


@page
@require_safe
def job(request: HttpRequest, job_id: int) -> HttpResponseBase:
    row = require_sight(request, job_id)
    window = request.GET.get("window", "15m")
    level, search = request.GET.get("level") or None, request.GET.get("search", "")
    found = overview(job_id, window=window, level=level, search=search)
    shown = found["job"]
    for cause in found["causes"]["causes"]:
        cause["share_percent"] = share(cause["items"], found["causes"]["total"])
    may_operate = caller_of(request).may_operate(row.project)
    context: dict[str, Any] = {
        **found,
        "title": shown["name"],
        "here": "jobs",
        "basis": basis(found["eta"]),
        "rows": rows_of(shown),
        "helps": _helps(job_id, shown["why"], may_operate=may_operate),
        "map": panel(row, asked(row, {})),
        "config_text": json.dumps(found["config"], indent=2, ensure_ascii=False, default=str),
        "chart": chart.of(found["throughput"]),
        "windows": list(WINDOWS),
        "levels": LEVELS,
        "level": level or "",
        "search": search,
        "may_operate": may_operate,
        "may_retry": may_operate and not shown["acts"][Act.RETRY],
    }
    return render(request, "joblot/job.html", context)


def _helps(job_id: int, why: list[dict[str, Any]], *, may_operate: bool) -> list[dict[str, Any]]:
    """Where the reasons lead, and what would help, each once and worst first."""
    found: dict[str, dict[str, Any]] = {}
    for one in why:
        if link := one.get("link"):
            url = _target(job_id, link)
            found.setdefault(url, {"url": url, "word": _word(link), "asks": False})
        if may_operate and (act := one.get("act")) in set(Act):
            url = reverse(f"joblot_web:{act}", args=[job_id])
            found.setdefault(url, {"url": url, "word": f"{act} the job".capitalize(), "asks": True})
    return list(found.values())


def _word(link: str) -> str:
    if link.startswith("items/"):
        return f"Item {int(link.removeprefix('items/')):,}"
    return {"w": "Workers", "l": "The log"}.get(link[0], "Items that failed")


def _target(job_id: int, link: str) -> str:
    """Where a reason's link leads, which is relative to the job."""
    if link.startswith("workers"):
        return reverse("joblot_web:workers") + link.removeprefix("workers")
    if link.startswith("log"):
        return "#logs"
    return f"{reverse('joblot_web:job', args=[job_id])}/{link}"
