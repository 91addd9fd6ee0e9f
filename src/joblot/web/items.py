"""The items of a job by the filter in the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from joblot.errors import InvalidInput
from joblot.ledger.read.filters import ItemFilters
from joblot.ledger.read.items import Page
from joblot.ledger.read.search import search
from joblot.web import find
from joblot.web.page import page, require_sight
from joblot.web.shell import render
from joblot.words import ITEMS

Json = dict[str, Any]

ITEMS_PER_PAGE = 100


@page
@require_safe
def items(request: HttpRequest, job_id: int) -> HttpResponseBase:
    job = require_sight(request, job_id)
    given = request.GET.dict()
    if "find" in given:
        return HttpResponseRedirect(_address(job_id, find.parameters(given["find"])))
    kept = {name: value for name, value in given.items() if name != "after"}
    shown: Json = {
        "title": f"Items of {job.name}",
        "here": "jobs",
        "job": {"id": job.pk, "name": job.name},
        "find": find.text_of(given),
        "filters": [
            {"text": f"{name}: {value}", "url": _address(job_id, {**kept, name: ""})}
            for name, value in kept.items()
            if value
        ],
        "chips": _chips(job_id, kept),
    }
    try:
        filters = ItemFilters.of(given)
        found = search(job_id, filters, limit=ITEMS_PER_PAGE)
    except InvalidInput as error:
        return render(request, "joblot/items.html", shown | {"wrong": str(error)}, status=422)
    return render(request, "joblot/items.html", shown | _shown(job_id, found, filters, kept))


def _shown(job_id: int, found: Page, filters: ItemFilters, kept: Mapping[str, str]) -> Json:
    more = _address(job_id, {**kept, "after": str(found.next)}) if found.next is not None else ""
    return {
        "rows": [_row(item, filters) for item in found],
        "as_of": found.as_of,
        "more": more,
        "first": _address(job_id, kept) if filters.after >= 0 else "",
        "csv": _address(job_id, kept, "csv"),
        "ndjson": _address(job_id, kept, "ndjson"),
    }


def _row(item: Json, filters: ItemFilters) -> Json:
    """Of an item that is looked for in one stage, the state in this stage."""
    last = item["outcomes"][-1] if item["outcomes"] else None
    tried = item["attempts"][-1] if item["attempts"] else None
    error = (last and last["error"]) or (tried["error"] if tried and last is None else None)
    state, stage = item["state"], None
    if filters.stage is not None and filters.state is not None:
        state, stage = filters.state, filters.stage
    elif last is not None and last["state"] in ("failed", "lost"):
        stage = last["stage"]
    return {
        "id": item["id"],
        "key": item["key"],
        "state": state,
        "stage": stage,
        "tries": len(item["attempts"]) + len(item["outcomes"]),
        "settled_at": last and last["settled_at"],
        "error": error,
    }


def _chips(job_id: int, kept: Mapping[str, str]) -> list[Json]:
    chosen = kept.get("state", "")
    states = ("succeeded", "failed", "lost", "open", *(("skipped",) if kept.get("stage") else ()))
    return [
        {
            "word": ITEMS[state].word,
            "url": _address(job_id, {**kept, "state": "" if state == chosen else state}),
            "on": state == chosen,
        }
        for state in states
    ]


def _address(job_id: int, given: Mapping[str, str], kind: str = "items") -> str:
    where = reverse(f"joblot_web:{kind}", args=[job_id])
    query = urlencode({name: value for name, value in given.items() if value}, safe=",")
    return f"{where}?{query}" if query else where
