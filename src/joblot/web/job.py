"""The page of a job."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from joblot.ledger.read.acts import Act, acts, retries_in_part
from joblot.ledger.read.overview import overview
from joblot.ledger.read.snapshot import Key
from joblot.ledger.read.throughput import WINDOWS
from joblot.policy_words import FIELDS, OF_POLICY
from joblot.sentences import basis, done_in, share, standing
from joblot.web import chart
from joblot.web.log_panel import LogFilter, newest_panel
from joblot.web.map_panel import asked, panel
from joblot.web.page import caller_of, page, require_sight
from joblot.web.shell import render
from joblot.web.stages import rows_of


@page
@require_safe
def job(request: HttpRequest, job_id: int) -> HttpResponseBase:
    row = require_sight(request, job_id)
    window = request.GET.get("window", "15m")
    log_filter = LogFilter.of(request.GET.dict())
    found = overview(job_id, window=window, log=log_filter.read)
    shown = found["job"]
    for cause in found["causes"]["causes"]:
        cause["share_percent"] = share(cause["items"], found["causes"]["total"])
    context: dict[str, Any] = {
        **found,
        "title": shown["name"],
        "here": "jobs",
        "standing": standing(shown),
        "done_in": done_in(found["eta"]),
        "basis": basis(found["eta"]),
        "rows": rows_of(shown),
        "why": [_shown(job_id, one) for one in found["why"]],
        "config_text": json.dumps(found["config"], indent=2, ensure_ascii=False, default=str),
        "policy_facts": [
            {**FIELDS[OF_POLICY + name]._asdict(), "value": value}
            for name, value in found["policy"].items()
        ],
        "chart": chart.of(found["throughput"]),
        "windows": list(WINDOWS),
        "log": newest_panel(job_id, log_filter, found["logs"]),
        "live": {**shown, "key": str(Key.of(shown)), "acts": acts(shown)},
        "map": panel(row, asked(row, {})) if row.total else None,
        "may_operate": caller_of(request).may_operate(row.project),
        "retries_in_part": retries_in_part(row.status),
    }
    return render(request, "joblot/job.html", context)


def _shown(job_id: int, reason: dict[str, Any]) -> dict[str, Any]:
    """A reason with the addresses of its link and of its act, if that is one of a page's."""
    act = reason.get("act") if reason.get("act") in set(Act) else None
    return {
        **reason,
        "url": _target(job_id, reason.get("link")),
        "act": act,
        "act_url": reverse(f"joblot_web:{act}", args=[job_id]) if act else "",
    }


def _target(job_id: int, link: str | None) -> str:
    """Where a reason's link leads, which is relative to the job."""
    if not link:
        return ""
    if link.startswith("workers"):
        return reverse("joblot_web:workers") + link.removeprefix("workers")
    if link.startswith("log"):
        return "#logs"
    return f"{reverse('joblot_web:job', args=[job_id])}/{link}"
