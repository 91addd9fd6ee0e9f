"""The page of one item."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from joblot.ledger.read.item import item as read_item
from joblot.web.page import page, require_sight
from joblot.web.shell import render
from joblot.words import ITEMS

Json = dict[str, Any]

FOLDED_CHARS = 65_536
SHOWN_CHARS_MAX = 1_000_000  # of one value; the export has all of it


@page
@require_safe
def item(request: HttpRequest, job_id: int, number: int) -> HttpResponseBase:
    job = require_sight(request, job_id)
    found = read_item(job_id, number)
    context = {
        "title": f"Item {number:,} of {job.name}",
        "here": "jobs",
        "job": {"id": job.pk, "name": job.name},
        "item": found,
        "standing": standing(found),
        "cause": next((one for one in map(_cause, found["outcomes"]) if one), ""),
        "tries": [{**one, "seconds": _seconds(one)} for one in found["tries"]],
        "payload": shown_json(found["payload"]),
        "outputs": [
            {**one, "shown": shown_json(one["output"], one["output_ref"])}
            for one in found["outcomes"]
            if one["state"] == "succeeded"
        ],
        "uncounted": [
            {**one, "shown": shown_json(one["output"], one["output_ref"])}
            for one in found["uncounted"]
        ],
    }
    return render(request, "joblot/item.html", context)


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


def shown_json(value: Any, ref: str | None = None) -> Json:
    """A value as indented JSON; what is long is folded, and cut where nobody would read on."""
    text = "" if ref else json.dumps(value, indent=2, ensure_ascii=False, default=str)
    size = f"{len(text):,} characters"
    if len(text) > SHOWN_CHARS_MAX:
        text, size = text[:SHOWN_CHARS_MAX], f"{size}, of which the first {SHOWN_CHARS_MAX:,}"
    return {"text": text, "ref": ref, "size": size, "folded": len(text) > FOLDED_CHARS}


def _cause(outcome: Json) -> str:
    return (outcome["error"] or {}).get("cause") or ""


def _seconds(one: Json) -> float | None:
    if one["leased_at"] is None:
        return None
    leased, reported = (datetime.fromisoformat(one[name]) for name in ("leased_at", "reported_at"))
    return (reported - leased).total_seconds()
