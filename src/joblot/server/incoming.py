"""A stream of lines that a client sends, passed to the views block by block.

If the stream breaks off, or a line is invalid, the items added so far stay, and sending the stream
again skips them. Each block carries the sums of the blocks before it, so that the answer to the
last one is the answer to the stream.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

from joblot.api.body import Unzip
from joblot.api.long_polling import BlockAdded, BlocksBefore, ViewCall
from joblot.api.problems import of_error
from joblot.config import limits
from joblot.errors import JoblotError
from joblot.server.bridge import Bridge, Scope, WholeResponse
from joblot.server.incoming_body import Gone, IncomingBody, Silent


class IncomingStream:
    """The lines of one request."""

    def __init__(self, scope: Scope, body: IncomingBody) -> None:
        coding = dict(scope["headers"]).get(b"content-encoding", b"").lower()
        self._unzip = Unzip() if coding == b"gzip" else None
        dropped = {b"content-length", b"accept-encoding"}
        if self._unzip:
            dropped.add(b"content-encoding")
        headers = [(name, value) for name, value in scope["headers"] if name not in dropped]
        self._scope = {**scope, "headers": headers}
        self._body = body
        self._broke_off: Gone | Silent | None = None

    async def post_blocks(self, bridge: Bridge) -> WholeResponse:
        """Return the answer to the last block, or to the first that was refused.

        Raises Gone or Silent if the stream broke off; the whole lines received are posted.
        """
        answer: WholeResponse | None = None
        before = BlocksBefore()
        try:
            async for block in self._blocks():
                call = ViewCall(is_first=answer is None, blocks_before=before)
                answer = await self._post(bridge, block, call)
                if not isinstance(answer.follow_up, BlockAdded):
                    return answer
                added = before.added + answer.follow_up.added
                before = BlocksBefore(before.lines + block.count(b"\n"), added)
        except JoblotError as error:
            refused = of_error(error)
            refused.add(added=before.added, lines_before=before.lines)
            return WholeResponse.of(refused)
        if self._broke_off:
            raise self._broke_off
        return answer or await self._post(bridge, b"", ViewCall(blocks_before=before))

    async def _post(self, bridge: Bridge, block: bytes, call: ViewCall) -> WholeResponse:
        length = (b"content-length", str(len(block)).encode())
        scope = {**self._scope, "headers": [*self._scope["headers"], length]}
        return await bridge.ask(call.in_scope(scope), io.BytesIO(block))

    async def _blocks(self) -> AsyncIterator[bytes]:
        """Blocks of whole lines; the last may have no newline, unless the stream broke off."""
        rest, longest = b"", limits().line_bytes_max
        async for piece in self._plain():
            rest += piece
            if len(rest) < limits().add_chunk_bytes:
                continue
            whole, newline, rest = rest.rpartition(b"\n")
            if newline:
                yield whole + newline
            if len(rest) > longest:  # more than a line may have: the line after those posted
                yield rest
        if self._broke_off:
            rest = rest[: rest.rfind(b"\n") + 1]
        if rest:
            yield rest

    async def _plain(self) -> AsyncIterator[bytes]:
        """What the client sends, decompressed, until it ends or breaks off."""
        try:
            async for piece in self._body.pieces():
                for plain in self._unzip.plain(piece) if self._unzip else (piece,):
                    yield plain
        except (Gone, Silent) as error:
            self._broke_off = error
            return
        if self._unzip:
            self._unzip.end()
