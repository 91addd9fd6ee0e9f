"""A value of an item as JSON text: short on the page of the item, whole at its own address."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from joblot.bounded_json import Unreadable
from joblot.errors import InvalidInput, NotFound
from joblot.ledger.read.item import item as read_item
from joblot.ledger.rows.outputs import readable_output
from joblot.shown import shown
from joblot.web.page import page, require_sight

Json = dict[str, Any]

FOLDED_CHARS = 65_536  # more is folded, and the page has only so many
KINDS = ("payload", "output", "metrics", "uncounted")


@page
@require_safe
def value(request: HttpRequest, job_id: int, number: int) -> HttpResponseBase:
    """One value, whole. `of` is its kind; an output and metrics have a `stage`, an uncounted result
    has its place `n` in their list.
    """
    require_sight(request, job_id)
    given = request.GET.dict()
    found, ref = _found(read_item(job_id, number), given)
    if ref is not None:
        found = readable_output(None, ref)
    if isinstance(found, Unreadable):
        raise NotFound(f"the value can't be shown: {found}")
    answer = HttpResponse(text_of(found), content_type="application/json; charset=utf-8")
    name = "-".join(part for part in map(given.get, ("of", "stage", "n")) if part) or "payload"
    safe = "".join(one if one.isascii() and one.isalnum() else "-" for one in name)
    answer["Content-Disposition"] = (
        f'attachment; filename="joblot-{job_id}-item-{number}-{safe}.json"'
    )
    return answer


def text_of(found: Any) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False, default=str)


def folded(job_id: int, number: int, found: Any, ref: str | None = None, **query: Any) -> Json:
    """A value as the page has it, with the address of all of it. A stored output is not read."""
    where = reverse("joblot_web:item_value", args=[job_id, number])
    text = "" if ref else text_of(found)
    return {
        "url": f"{where}?{urlencode(query)}",
        "text": text[:FOLDED_CHARS],
        "size": None if ref else len(text),
        "is_folded": ref is not None or len(text) > FOLDED_CHARS,
        "ref": ref,
    }


def _found(found: Json, given: Mapping[str, str]) -> tuple[Any, str | None]:
    """The value, or the name of the file that has it. Raises InvalidInput, NotFound."""
    kind = given.get("of", "payload")
    if kind not in KINDS:
        raise InvalidInput(f"of: expected one of {', '.join(KINDS)}, got {shown(kind, 40)}")
    if kind == "payload":
        return found["payload"], None
    if kind == "uncounted":
        every = dict(enumerate(found["uncounted"]))
        one = every.get(int(n)) if (n := given.get("n", "")).isdecimal() else None
    else:
        stage = given.get("stage")
        one = next((one for one in found["outcomes"] if one["stage"] == stage), None)
    if one is None:
        raise NotFound(f"item {found['id']} has no such value: {shown(dict(given), 100)}")
    return (one["metrics"], None) if kind == "metrics" else (one["output"], one["output_ref"])
