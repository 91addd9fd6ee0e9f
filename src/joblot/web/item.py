"""The page of one item."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from joblot.ledger.read.acts import retries_in_part
from joblot.ledger.read.overview import item_overview
from joblot.models import Job
from joblot.web.item_value import folded
from joblot.web.log_panel import LogFilter, newest_panel
from joblot.web.neighbors import strip
from joblot.web.page import caller_of, page, require_sight
from joblot.web.shell import render
from joblot.web.visitor import Visitor
from joblot.words import ITEMS

Json = dict[str, Any]


@page
@require_safe
def item(request: HttpRequest, job_id: int, number: int) -> HttpResponseBase:
    job = require_sight(request, job_id)
    overview = item_overview(job_id, number)
    found = overview["item"]
    value = partial(folded, job_id, number)
    context = {
        "title": f"Item {number:,} of {job.name}",
        "here": "jobs",
        "job": {"id": job.pk, "name": job.name},
        "item": found,
        "standing": standing(found),
        "cause": next((one for one in map(_cause, found["outcomes"]) if one), ""),
        "may_retry": _may_retry(job, caller_of(request)),
        "previous": number - 1 if number else None,
        "next": number + 1 if number + 1 < overview["picture"].total else None,
        "strip": strip(overview["picture"], number),
        "strip_first": overview["picture"].first,
        "strip_last": overview["picture"].first + len(overview["picture"].cells) - 1,
        "tries": [{**one, "seconds": _seconds(one)} for one in found["tries"]],
        "payload": value(found["payload"], of="payload"),
        "results": [
            {
                **one,
                "output": value(one["output"], one["output_ref"], of="output", stage=one["stage"]),
                "metrics": one["metrics"]
                and value(one["metrics"], of="metrics", stage=one["stage"]),
            }
            for one in found["outcomes"]
            if one["state"] == "succeeded"
        ],
        "uncounted": [
            {**one, "output": value(one["output"], one["output_ref"], of="uncounted", n=n)}
            for n, one in enumerate(found["uncounted"])
        ],
        "log": newest_panel(job_id, LogFilter(item=number), overview["logs"]),
    }
    return render(request, "joblot/item.html", context)


def _may_retry(job: Job, caller: Visitor) -> bool:
    """A canceled job is retried as a whole only, so not by the cause of a failure."""
    return retries_in_part(job.status) and caller.may_operate(job.project)


def standing(found: Json) -> str:
    """`Failed in detect: TimeoutError`, `Succeeded in all stages`."""
    stages = found["stages"]
    telling = next((one for one in stages if one["state"] != "succeeded"), None)
    if telling is None:
        return "Succeeded in all stages" if len(stages) > 1 else "Succeeded"
    text = ITEMS[telling["state"]].word.capitalize()
    text += f" in {telling['stage']}" if len(stages) > 1 else ""
    if telling.get("worker"):
        text += f", with {telling['worker']}"
    error = next((one["error"] for one in found["outcomes"] if one["error"]), None)
    return f"{text}: {error['type']}" if error and error["type"] else text


def _cause(outcome: Json) -> str:
    return (outcome["error"] or {}).get("cause") or ""


def _seconds(one: Json) -> float | None:
    if one["leased_at"] is None:
        return None
    leased, reported = (datetime.fromisoformat(one[name]) for name in ("leased_at", "reported_at"))
    return (reported - leased).total_seconds()
