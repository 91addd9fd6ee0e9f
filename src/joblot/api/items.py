"""Items, events and logs: streamed in, and read page by page or as streams."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.encoding import iri_to_uri
from ninja import Path, Query, Router

from joblot.api.body import ITEMS_URL, NDJSON, JsonLines, json_of, takes_stream
from joblot.api.jobs import JobIdInPath, to_change, to_read
from joblot.api.long_polling import BlockAdded, StreamPage, ViewCall, attach, query_of_next_page
from joblot.api.openapi import also, json_body
from joblot.api.schemas.common import BIGINT_MAX
from joblot.api.schemas.items import ItemDetailOut, ItemsOut, ItemsQuery
from joblot.api.schemas.jobs import ItemsAdded, ItemsIn
from joblot.api.schemas.reading import EventsOut, LogsOut
from joblot.config import limits
from joblot.errors import InvalidInput, InvalidItem
from joblot.ledger.read.filters import ItemFilters
from joblot.ledger.read.history import events as events_page
from joblot.ledger.read.item import item
from joblot.ledger.read.items import Page
from joblot.ledger.read.items import items as items_page
from joblot.ledger.read.log_lines import logs as logs_page
from joblot.ledger.read.search import search as search_items
from joblot.ledger.rows.job import read_job
from joblot.ledger.submit.submit import add_items
from joblot.shown import shown
from joblot.wire import ITEM_MAX

router = Router(tags=["items"])

SSE = "text/event-stream"
LAST_EVENT = "Last-Event-ID"
AS_OF = "Joblot-As-Of"  # of the first page of a stream; each page is of one instant
SSE_RETRY_MS = 2_000  # how soon a browser reconnects after a lost connection

Limit = Annotated[int, Query(ge=1, le=1_000)]
After = Annotated[int, Query(ge=-1, le=BIGINT_MAX)]
NumberInPath = Annotated[int, Path(ge=0, le=ITEM_MAX)]
LineId = Annotated[int, Query(ge=0, le=BIGINT_MAX)]

LINES = {NDJSON: {"schema": {"type": "string", "description": "one item per line"}}}
_EVENTS = {SSE: {"schema": {"type": "string"}}}


@router.post(
    "jobs/{job_id}/items",
    response=ItemsAdded,
    url_name=ITEMS_URL,
    openapi_extra=json_body(ItemsIn, **LINES),
)
def add(request: HttpRequest, job_id: JobIdInPath) -> Any:
    """Add items to an open job, as JSON or as a stream of JSON lines.

    Items that the job already has are skipped, so a stream that broke off can be sent again.
    """
    to_change(request, job_id)
    if takes_stream("POST", request.path_info, request.content_type or ""):
        return _add_lines(request, job_id)
    added = add_items(job_id, _listed(json_of(request)))
    return {"added": added, "total": read_job(job_id).total}


def _add_lines(request: HttpRequest, job_id: int) -> HttpResponse:
    """Add a stream, or a block of one; the response also counts the blocks before it.

    Items are judged one by one as they are read, so the last line read is the bad one.
    """
    lines, before = JsonLines(request), ViewCall.of(request).blocks_before
    try:
        added = add_items(job_id, lines)
    except InvalidItem as error:
        _, _, what = str(error).partition(": ")  # without its position in this block
        error.args = (f"line {lines.number}: {what}",)
        raise
    added_in_all = added + (before.added if before else 0)
    answer = JsonResponse({"added": added_in_all, "total": read_job(job_id).total})
    attach(answer, BlockAdded(added))
    return answer


def _listed(body: Any) -> list[Any]:
    given = body.get("items") if isinstance(body, dict) else None
    if not isinstance(given, list):
        raise InvalidInput('expected {"items": [{"key", "payload"}, …]}')
    return given


@router.get("jobs/{job_id}/items", response=ItemsOut, openapi_extra=also(**LINES))
def list_items(
    request: HttpRequest,
    job_id: JobIdInPath,
    *,
    filters: Annotated[ItemsQuery, Query()],
    key: Annotated[list[str] | None, Query(max_length=1_000)] = None,
    after: After = -1,
    limit: Limit = 100,
) -> Any:
    """Items by a filter and by number; with `Accept: application/x-ndjson` all, one per line.

    `attempt` and `range` are such as `3-`, `-7` or `480000-490000`; `q` begins the key.
    `key`, which may be repeated, finds items by their whole keys, and goes with no filter.
    """
    to_read(request, job_id)
    if key is not None:
        if filters.given():
            raise InvalidInput("keys: expected no filter beside them")
        found = items_page(job_id, keys=key, after=after, limit=limit)
        return {"items": found, "next": found.next, "as_of": found.as_of}
    streaming = wants_lines(request)
    size = limits().page_items_max if streaming else limit
    asked = replace(ItemFilters.of(filters.given()), after=after)
    page = search_items(job_id, asked, limit=size)
    if not streaming:
        return {"items": page, "next": page.next, "as_of": page.as_of}
    return page_of_lines(request, page)


def wants_lines(request: HttpRequest) -> bool:
    return request.accepts(NDJSON) and not request.accepts("application/json")


def page_of_lines(request: HttpRequest, page: Page) -> HttpResponse:
    """The page, one value per line, and where the stream continues."""
    answer = HttpResponse("".join(json.dumps(one) + "\n" for one in page), content_type=NDJSON)
    answer[AS_OF] = page.as_of
    if page.next is None:
        attach(answer, StreamPage(None))
        return answer
    query = query_of_next_page(request, page.next)
    answer["Link"] = f'<{iri_to_uri(request.path)}?{query}>; rel="next"'
    attach(answer, StreamPage(query))
    return answer


@router.get("jobs/{job_id}/items/{number}", response=ItemDetailOut)
def get_item(request: HttpRequest, job_id: JobIdInPath, number: NumberInPath) -> Any:
    """One item: where it stands in each stage, its tries, and results that do not count."""
    to_read(request, job_id)
    return item(job_id, number)


@router.get("jobs/{job_id}/events", response=EventsOut, openapi_extra=also(**_EVENTS))
def list_events(
    request: HttpRequest, job_id: JobIdInPath, after: After = 0, limit: Limit = 100
) -> Any:
    """The job's events, in order; with `Accept: text/event-stream` as they happen."""
    to_read(request, job_id)
    if request.accepts(SSE) and not request.accepts("application/json"):
        return _event_stream(request, job_id, after)
    page = events_page(job_id, after=after, limit=limit)
    return {"events": page, "next": page[-1]["id"] if len(page) == limit else None}


@router.get("jobs/{job_id}/logs", response=LogsOut)
def list_logs(
    request: HttpRequest,
    job_id: JobIdInPath,
    *,
    after: LineId = 0,
    before: LineId | None = None,
    newest: bool = False,
    level: str | None = None,
    search: Annotated[str, Query(max_length=200)] = "",
    item: Annotated[int | None, Query(ge=0, le=ITEM_MAX)] = None,
    limit: Limit = 100,
) -> Any:
    """The job's log with its events, oldest line first; with `newest` or `before` newest first."""
    to_read(request, job_id)
    page = logs_page(
        job_id,
        after=after,
        before=before,
        newest=newest,
        level=level,
        search=search,
        item=item,
        limit=limit,
    )
    return {"logs": page, "next": page.next}


def _event_stream(request: HttpRequest, job_id: int, after: int) -> HttpResponse:
    """The events after the last one that the client has.

    A browser reconnects by itself, with the same query and the last event that it has seen.
    """
    seen = request.headers.get(LAST_EVENT)
    if seen is not None:
        after = max(after, _event_id(seen))
    page = events_page(job_id, after=after, limit=limits().page_items_max)
    text = "".join(
        f"id: {event['id']}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n"
        for event in page
    )
    begins = "" if "after" in request.GET else f"retry: {SSE_RETRY_MS}\n\n"
    answer = HttpResponse(begins + text, content_type=SSE)
    answer["Cache-Control"] = "no-cache"
    last = page[-1]["id"] if page else after
    attach(answer, StreamPage(query_of_next_page(request, last), limits().events_poll_seconds))
    return answer


def _event_id(given: str) -> int:
    if given.isascii() and given.isdigit() and int(given[:19]) <= BIGINT_MAX and len(given) < 20:
        return int(given)
    raise InvalidInput(f"{LAST_EVENT}: expected the id of an event, got {shown(given, 40)}")
