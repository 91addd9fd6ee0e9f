"""The pages' own files, under addresses that change with their content, so they are kept forever.

All share one version, so that a module imports another by its plain relative name.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from joblot.api.edge import bare
from joblot.web.page import HEADERS

FOLDER = Path(__file__).parent / "assets"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    zipped: bytes
    type: str


@require_safe
def _asset(request: HttpRequest, version: str, name: str) -> HttpResponseBase:
    """A file. A page of an older server gets the present one, but does not keep it."""
    found = _assets().get(name)
    if found is None:
        raise Http404
    takes_gzip = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(found.zipped if takes_gzip else found.content, content_type=found.type)
    if takes_gzip:
        response["Content-Encoding"] = "gzip"
    response["Vary"] = "Accept-Encoding"
    response["Cache-Control"] = FOREVER if version == _version() else "no-cache"
    for header, value in HEADERS.items():
        response.headers.setdefault(header, value)
    return response


asset = bare(_asset)
asset.joblot_open = True  # type: ignore[attr-defined]


def asset_url(name: str) -> str:
    """The address of a file of the folder. Raises KeyError."""
    _assets()[name]
    return reverse("joblot_web:asset", args=[_version(), name])


# Threads: a cache; at worst two threads read the same files.
@cache
def _assets() -> dict[str, Asset]:
    read = {
        path.relative_to(FOLDER).as_posix(): path
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in TYPES
    }
    return {name: _read(path) for name, path in read.items()}


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, gzip.compress(content, mtime=0), TYPES[path.suffix])


# Threads: as above.
@cache
def _version() -> str:
    digest = hashlib.sha256()
    for name, one in _assets().items():
        digest.update(name.encode() + b"\0" + one.content + b"\0")
    return digest.hexdigest()[:16]
