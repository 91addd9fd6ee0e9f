"""The map of a job's items: the page, the bytes of the picture, and what is said of one item."""

from __future__ import annotations

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotModified,
    JsonResponse,
)
from django.views.decorators.http import require_safe

from joblot.errors import NotFound
from joblot.ledger.read.items import items
from joblot.ledger.read.picture import Picture
from joblot.ledger.read.picture_format import MEDIA_TYPE
from joblot.ledger.read.pictures import PICTURES
from joblot.web.map_panel import asked, centered, panel, version_of
from joblot.web.page import page, require_sight
from joblot.web.shell import render

FOREVER = "private, max-age=31536000, immutable"


@page
@require_safe
def map_page(request: HttpRequest, job_id: int) -> HttpResponseBase:
    job = require_sight(request, job_id)
    shown = asked(job, request.GET)
    picture, _ = PICTURES.latest(shown)
    context = {"title": f"Map of {job.name}", "here": "jobs", "job": job}
    context |= {"map": panel(job, shown, picture), "centered": centered(job, request.GET)}
    return render(request, "joblot/map.html", context)


@page
@require_safe
def map_bytes(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The picture; with `base`, the tag of an earlier one, what has changed since."""
    shown = asked(require_sight(request, job_id), request.GET)
    if base := request.GET.get("base"):
        picture, body = PICTURES.changes(shown, base)
    else:
        picture, body = PICTURES.latest(shown)
    tag = f'"{picture.tag}"'
    is_known = not base and request.headers.get("If-None-Match") == tag
    response = (
        HttpResponseNotModified() if is_known else HttpResponse(body, content_type=MEDIA_TYPE)
    )
    response["ETag"] = tag
    response["Cache-Control"] = _kept(picture, request.GET.get("v"))
    response["Joblot-Map"] = "final" if picture.is_final else "open"
    return response


@page
@require_safe
def map_item(request: HttpRequest, job_id: int, number: int) -> HttpResponseBase:
    """The key of an item, and its error if it failed or was lost."""
    require_sight(request, job_id)
    found = items(job_id, after=number - 1, limit=1)
    if not found or found[0]["id"] != number:
        raise NotFound(f"job {job_id} has no item {number}; its items begin at 0")
    errors = [one["error"] for one in found[0]["outcomes"] if one["error"]]
    return JsonResponse({"key": found[0]["key"], "error": errors[0] if errors else None})


def _kept(picture: Picture, version: str | None) -> str:
    """What can't change under an address that names the run and the revision is kept forever."""
    return FOREVER if picture.is_final and version == version_of(picture) else "private, no-cache"
