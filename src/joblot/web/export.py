"""Download the items of a filter, as CSV or JSON lines, streamed in constant memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from joblot.api.long_polling import ViewCall
from joblot.config import limits
from joblot.ledger.read.filters import ItemFilters
from joblot.ledger.read.items import Page
from joblot.ledger.read.search import search
from joblot.models import Job
from joblot.web.download import download, file_name, heading
from joblot.web.page import page, require_sight

Json = dict[str, Any]

COLUMNS = (
    *("item", "key", "state", "stage", "tries", "settled_at", "error_type", "error_message"),
    *("cause", "payload", "output", "output_ref"),
)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


@page
@require_safe
def as_csv(request: HttpRequest, job_id: int) -> HttpResponseBase:
    return _exported(request, job_id, "csv")


@page
@require_safe
def as_json_lines(request: HttpRequest, job_id: int) -> HttpResponseBase:
    return _exported(request, job_id, "ndjson")


def _exported(request: HttpRequest, job_id: int, kind: str) -> HttpResponseBase:
    """The first record says which job, run and revision this is, as of when, by which filter."""
    job = require_sight(request, job_id)
    content_type, record, opening = _FORMATS[kind]
    given = request.GET.dict()
    is_first = ViewCall.of(request).is_first
    if is_first:
        given.pop("after", None)
    filters = ItemFilters.of(given)
    found = _page(job_id, filters)
    first = (opening(job, found, given) if is_first else "") + _text(found, record)

    def read(after: int) -> tuple[str, int | None]:
        following = _page(job_id, replace(filters, after=after))
        return _text(following, record), following.next

    return download(
        request,
        first,
        found.next,
        read,
        content_type=content_type,
        name=_name(job, found, filters, kind),
    )


def _page(job_id: int, filters: ItemFilters) -> Page:
    return search(job_id, filters, limit=limits().page_items_max)


def _text(found: Page, record: Callable[[Json], str]) -> str:
    return "".join(map(record, found))


def _name(job: Job, found: Page, filters: ItemFilters, kind: str) -> str:
    which = filters.state or ("items" if not filters.cause else f"cause-{filters.cause}")
    return file_name(job, which, datetime.fromisoformat(found.as_of), kind)


def _json_opening(job: Job, found: Page, given: Mapping[str, str]) -> str:
    return json.dumps(heading(job, found.as_of, given)) + "\n"


def _json_record(item: Json) -> str:
    return json.dumps(item, default=str) + "\n"


def _csv_opening(job: Job, found: Page, given: Mapping[str, str]) -> str:
    first = heading(job, found.as_of, given)
    pairs = [f"{name}={_cell(value)}" for name, value in first.items()]
    return _csv_row(pairs) + _csv_row(COLUMNS)


def _csv_record(item: Json) -> str:
    outcome = item["outcomes"][-1] if item["outcomes"] else {}
    error = outcome.get("error") or {}
    return _csv_row(
        (
            item["id"],
            item["key"],
            item["state"],
            outcome.get("stage", ""),
            len(item["attempts"]) + len(item["outcomes"]),
            outcome.get("settled_at", ""),
            error.get("type") or "",
            error.get("message") or "",
            error.get("cause") or "",
            _cell(item["payload"]),
            _cell(outcome.get("output")),
            outcome.get("output_ref") or "",
        )
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _csv_row(cells: Any) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([_neutral(str(cell)) for cell in cells])
    return out.getvalue()


def _neutral(cell: str) -> str:
    """A spreadsheet would run a text that begins like a formula."""
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell


_FORMATS: Mapping[str, tuple[str, Callable[[Json], str], Callable[..., str]]] = {
    "csv": ("text/csv; charset=utf-8", _csv_record, _csv_opening),
    "ndjson": ("application/x-ndjson", _json_record, _json_opening),
}
