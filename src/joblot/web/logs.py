"""The log of a job: its pages, the lines that a page which follows it asks for, and downloads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from joblot.api.long_polling import ViewCall
from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.read.log_lines import logs as read_logs
from joblot.ledger.read.overview import LINES_SHOWN
from joblot.ledger.read.snapshot import snapshot
from joblot.ledger.read.workers import database_now
from joblot.sentences import standing
from joblot.shown import shown
from joblot.web.download import download, file_name, heading
from joblot.web.log_panel import FIELDS, LogFilter, panel, place
from joblot.web.page import page, require_sight
from joblot.web.shell import render

Json = dict[str, Any]


@page
@require_safe
def logs(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The newest lines, or those `before` or `after` one; always the oldest of them first."""
    job = require_sight(request, job_id)
    given = _known(request.GET.dict(), "before", "after")
    state = snapshot(job_id)
    context = {
        "title": f"Log of {job.name}",
        "here": "jobs",
        "job": {**state, "name": job.name},
        "standing": standing(state),
        "log": panel(job_id, LogFilter.of(given), given),
    }
    return render(request, "joblot/logs.html", context)


@page
@require_safe
def log_lines(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The lines after one, as a part of a page, for a page that follows the log."""
    require_sight(request, job_id)
    given = _known(request.GET.dict(), "after")
    asked, after = LogFilter.of(given).read, place(given, "after")
    found = read_logs(job_id, after=after, limit=LINES_SHOWN, **asked)
    context = {"log": {"lines": found, "next": found.next}, "job": {"id": job_id}}
    return render(request, "joblot/logs/_box.html", context)


@page
@require_safe
def as_text(request: HttpRequest, job_id: int) -> HttpResponseBase:
    return _downloaded(request, job_id, "txt")


@page
@require_safe
def as_json_lines(request: HttpRequest, job_id: int) -> HttpResponseBase:
    return _downloaded(request, job_id, "ndjson")


def _downloaded(request: HttpRequest, job_id: int, kind: str) -> HttpResponseBase:
    """All lines of the filter, oldest first, behind a record that says what they are."""
    job = require_sight(request, job_id)
    content_type, opening, record = _FORMATS[kind]
    given = _known(request.GET.dict(), "after")
    log_filter, now = LogFilter.of(given), database_now()

    def read(after: int) -> tuple[str, int | None]:
        limit = limits().page_items_max
        found = read_logs(job_id, after=after, limit=limit, **log_filter.read)
        return "".join(map(record, found)), found.next

    is_first = ViewCall.of(request).is_first
    text, following = read(0 if is_first else place(given, "after"))
    first = opening(heading(job, now.isoformat(), log_filter.given)) if is_first else ""
    name = file_name(job, "log", now, kind)
    return download(request, first + text, following, read, content_type=content_type, name=name)


def _text_heading(first: Json) -> str:
    asked = ", ".join(f"{name} {value}" for name, value in first["filter"].items())
    return (
        f"# log of job {first['job']}, {first['name']}: run {first['run']}, revision "
        f"{first['revision']}, as of {first['as_of']}, {asked or 'all lines'}\n"
    )


def _text_line(line: Json) -> str:
    """As `joblot logs` prints it; further lines of a message are indented."""
    item = "" if line["item"] is None else f"item {line['item']}: "
    message = line["message"].replace("\n", "\n    ")
    return f"{line['at']} {line['level']:7} {item}{message}\n"


def _json_line(line: Json) -> str:
    return json.dumps(line, ensure_ascii=False, default=str) + "\n"


_FORMATS: Mapping[str, tuple[str, Callable[[Json], str], Callable[[Json], str]]] = {
    "txt": ("text/plain; charset=utf-8", _text_heading, _text_line),
    "ndjson": ("application/x-ndjson", _json_line, _json_line),
}


def _known(given: dict[str, str], *places: str) -> dict[str, str]:
    """Raises InvalidInput for a parameter that a log has not."""
    names = (*FIELDS, *places)
    for name in given:
        if name not in names:
            raise InvalidInput(f"{shown(name, 40)}: expected one of {', '.join(names)}")
    return given
