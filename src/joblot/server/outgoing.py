"""A stream that a client reads: consecutive pages, in one gzip stream if it takes gzip."""

from __future__ import annotations

import time
import zlib

from joblot.api.items import SSE
from joblot.server.bridge import Send, WholeResponse

KEEP_ALIVE = b": nothing new\n\n"  # a comment: shows each end that the other is there
KEEP_ALIVE_SECONDS = 15.0


class BrokenOff(Exception):
    """A stream can't continue. The client must see that it is incomplete, to request the rest."""


class OutgoingStream:
    """The response that the pages are written to."""

    def __init__(self, send: Send, *, zipped: bool = False) -> None:
        self._send = send
        self._zip = zlib.compressobj(wbits=zlib.MAX_WBITS | 16) if zipped else None
        self._put_at = time.monotonic()
        self.is_endless = False  # the client reconnects when it ends

    async def begin(self, first: WholeResponse) -> None:
        headers = [one for one in first.headers if one[0].lower() != b"content-length"]
        self.is_endless = any(value.startswith(SSE.encode()) for _, value in headers)
        if self._zip:
            headers.append((b"Content-Encoding", b"gzip"))
        await self._send(
            {"type": "http.response.start", "status": first.status, "headers": headers}
        )

    async def put(self, page: bytes) -> None:
        """Send a page; for empty pages, send KEEP_ALIVE from time to time."""
        silent = time.monotonic() - self._put_at
        if not page and self.is_endless and silent > KEEP_ALIVE_SECONDS:
            page = KEEP_ALIVE
        if page:
            await self._body(self._zipped(page), more=True)
            self._put_at = time.monotonic()

    async def end(self) -> None:
        await self._body(self._zip.flush() if self._zip else b"", more=False)

    def _zipped(self, page: bytes) -> bytes:
        if self._zip is None:
            return page
        return self._zip.compress(page) + self._zip.flush(zlib.Z_SYNC_FLUSH)

    def break_off(self, why: str) -> None:
        """End it so that the client sees that it is incomplete. Raises BrokenOff, unless the client
        reconnects in any case.
        """
        if not self.is_endless:
            raise BrokenOff(why)

    async def _body(self, content: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": content, "more_body": more})
