"""Reading a request's body: bounded, decompressed, and as JSON that every database can store."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from django.http.request import UnreadablePostError
from django.urls import Resolver404, resolve
from ninja.parser import Parser
from ninja.types import DictStrAny

from joblot.api.json_text import parse_json
from joblot.api.long_polling import ViewCall
from joblot.config import limits
from joblot.errors import NotReadable, TooLarge, Unavailable
from joblot.shown import shown

CHUNK_BYTES = 65_536
NDJSON = "application/x-ndjson"
API_NAMESPACE = "joblot"
ITEMS_URL = "items"


class JsonParser(Parser):
    """How django-ninja reads a body: as `json_of` does."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        return json_of(request)  # type: ignore[no-any-return]


def read_body(request: HttpRequest, bytes_max: int) -> bytes:
    """The whole body, decompressed. Raises TooLarge beyond `bytes_max`, NotReadable."""
    return b"".join(bounded(request, bytes_max))


def bounded(request: HttpRequest, bytes_max: int) -> Iterator[bytes]:
    """The body piece by piece, decompressed. Raises TooLarge beyond `bytes_max`, NotReadable."""
    size = 0
    for piece in _unzipped(request):
        size += len(piece)
        if size > bytes_max:
            raise TooLarge(
                f"body: expected at most {bytes_max} bytes, decompressed; split it", bytes_max
            )
        yield piece


def json_of(request: HttpRequest) -> Any:
    """The body as JSON. Raises NotReadable for anything else, including NaN and infinities."""
    return parse_json(request.body)


class JsonLines:
    """The lines of a stream, each as JSON; empty ones are skipped.

    `number` is the current line's, counted in the whole stream. Iterating raises NotReadable and
    TooLarge, with that number.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        before = ViewCall.of(request).blocks_before
        self.number = before.lines if before else 0

    def __iter__(self) -> Iterator[Any]:
        for line in self._lines():
            self.number += 1
            self._require_size(line)
            if not line.strip():
                continue
            try:
                yield parse_json(line)
            except NotReadable as error:
                raise NotReadable(f"line {self.number}: {error}") from None

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for piece in _unzipped(self._request):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if len(rest) > limits().line_bytes_max:
                break
        if rest:
            yield rest

    def _require_size(self, line: bytes) -> None:
        most = limits().line_bytes_max
        if len(line) > most:
            raise TooLarge(f"line {self.number}: expected at most {most} bytes", most)


def takes_stream(method: str, path_info: str, content_type: str) -> bool:
    """True for a request whose body is a stream of lines, and is read as it arrives.

    The project's URLs decide: they may mount joblot's under any prefix, and others beside them.
    """
    if method != "POST" or content_type != NDJSON:
        return False
    try:
        found = resolve(path_info)
    except Resolver404:
        return False
    return (found.namespaces[-1:], found.url_name) == ([API_NAMESPACE], ITEMS_URL)


def _unzipped(request: HttpRequest) -> Iterator[bytes]:
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding == "identity":
        yield from _pieces(request)
    elif coding == "gzip":
        yield from _gunzip(_pieces(request))
    else:
        raise NotReadable(f"Content-Encoding: expected gzip or none, got {shown(coding, 40)}")


class Unzip:
    """Decompresses piece by piece, so that a decompression bomb is never held in memory.

    Consecutive gzip members are one text, as in gzip itself.
    """

    def __init__(self) -> None:
        self._member = self._new()

    def plain(self, piece: bytes) -> Iterator[bytes]:
        """Decompress one more piece. Raises NotReadable."""
        left = piece
        try:
            while left:
                if self._member.eof:
                    self._member = self._new()
                yield self._member.decompress(left, CHUNK_BYTES)
                left = self._member.unused_data or self._member.unconsumed_tail
        except zlib.error as error:
            raise NotReadable(f"body: expected gzip as Content-Encoding says, {error}") from None

    def end(self) -> None:
        """No more will come. Raises NotReadable if the data is truncated."""
        if not self._member.eof:
            raise NotReadable("body: expected gzip as Content-Encoding says, the data is truncated")

    @staticmethod
    def _new() -> Any:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def _gunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    unzip = Unzip()
    for piece in pieces:
        yield from unzip.plain(piece)
    unzip.end()


def _pieces(request: HttpRequest) -> Iterator[bytes]:
    try:
        while piece := request.read(CHUNK_BYTES):
            yield piece
    except UnreadablePostError as error:
        raise Unavailable("the request broke off; send all of it again") from error
