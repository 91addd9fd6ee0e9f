"""Reading what a request carries: bounded, unzipped, and as JSON that every database can keep."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from django.http.request import UnreadablePostError
from ninja.parser import Parser
from ninja.types import DictStrAny

from joblot.config import limits
from joblot.errors import NotReadable, TooLarge, Unavailable

CHUNK_BYTES = 65_536
NDJSON = "application/x-ndjson"


class JsonParser(Parser):
    """How django-ninja reads a body: as `json_of` does."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        return json_of(request)  # type: ignore[no-any-return]


def read_body(request: HttpRequest, bytes_max: int) -> bytes:
    """The whole body, unzipped. Raises TooLarge beyond `bytes_max`, NotReadable."""
    pieces, size = [], 0
    for piece in _unzipped(request):
        size += len(piece)
        if size > bytes_max:
            raise TooLarge(
                f"body: expected at most {bytes_max} bytes, unzipped; split it", bytes_max
            )
        pieces.append(piece)
    return b"".join(pieces)


def json_of(request: HttpRequest) -> Any:
    """The body as JSON. Raises NotReadable for what isn't, NaN and infinities included."""
    return parse_json(request.body)


def parse_json(text: bytes) -> Any:
    """JSON, strictly. Raises NotReadable."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise NotReadable(f"body: expected JSON, {error}") from None


def json_lines(request: HttpRequest) -> Iterator[Any]:
    """Each line as JSON; empty lines are skipped. Raises NotReadable, TooLarge with the line."""
    for number, line in enumerate(_lines(request), start=1):
        if not line.strip():
            continue
        try:
            yield parse_json(line)
        except NotReadable as error:
            raise NotReadable(f"line {number}: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _lines(request: HttpRequest) -> Iterator[bytes]:
    longest = limits().line_bytes_max
    rest = b""
    for piece in _unzipped(request):
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > longest or any(len(line) > longest for line in whole):
            raise TooLarge(f"line: expected at most {longest} bytes", longest)
        yield from whole
    if rest:
        yield rest


def _unzipped(request: HttpRequest) -> Iterator[bytes]:
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding == "identity":
        yield from _pieces(request)
    elif coding == "gzip":
        yield from gunzip(_pieces(request))
    else:
        raise NotReadable(f"Content-Encoding: expected gzip or none, got {coding!r:.40}")


def gunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unzip piece by piece, so that what a bomb unfolds to is never held. Raises NotReadable."""
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        for piece in pieces:
            left = piece
            while left and not unzip.eof:
                yield unzip.decompress(left, CHUNK_BYTES)
                left = unzip.unconsumed_tail
    except zlib.error as error:
        raise NotReadable(f"body: expected gzip as Content-Encoding says, {error}") from None
    if not unzip.eof:
        raise NotReadable("body: expected gzip as Content-Encoding says, it breaks off")


def _pieces(request: HttpRequest) -> Iterator[bytes]:
    try:
        while piece := request.read(CHUNK_BYTES):
            yield piece
    except UnreadablePostError as error:
        raise Unavailable("the request broke off; nothing of it was done, send it again") from error
