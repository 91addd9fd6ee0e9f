"""A stream of lines that a client sends, posted to the views block by block.

What was posted before the stream broke off stays, and sending it again skips it; so does a stream
in which one line is wrong. The answer adds up what the blocks were answered.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import AsyncIterator

from joblot.api.problems import of_error
from joblot.config import limits
from joblot.errors import JoblotError, NotReadable, TooLarge
from joblot.server.bridge import Answer, Bridge, Gone, Receive, Scope

UNZIP_BYTES = 262_144


class IncomingStream:
    """The lines of one request."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        coding = dict(scope["headers"]).get(b"content-encoding", b"").lower()
        self._unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if coding == b"gzip" else None
        dropped = {b"content-length"} | ({b"content-encoding"} if self._unzip else set())
        headers = [(name, value) for name, value in scope["headers"] if name not in dropped]
        self._scope = {**scope, "headers": headers}
        self._receive = receive
        self._gone = False

    async def post_blocks(self, bridge: Bridge) -> Answer:
        """The answer to the whole stream, or to the first block that was refused.

        Raises Gone if the client went away; the whole lines it had sent are posted.
        """
        added, lines = 0, 0
        answer: Answer | None = None
        try:
            async for block in self._blocks():
                answer = await self._post(bridge, block)
                if answer.status != 200:
                    return _told(answer, added, lines)
                added += json.loads(answer.body)["added"]
                lines += block.count(b"\n")
        except JoblotError as error:
            return _told(_refusal(error), added, lines)
        if self._gone:
            raise Gone
        return _told(answer or await self._post(bridge, b""), added, lines)

    async def _post(self, bridge: Bridge, block: bytes) -> Answer:
        length = (b"content-length", str(len(block)).encode())
        scope = {**self._scope, "headers": [*self._scope["headers"], length]}
        return await bridge.ask(scope, io.BytesIO(block))

    async def _blocks(self) -> AsyncIterator[bytes]:
        """Blocks of whole lines; the last may lack its newline, unless the stream broke off."""
        rest, longest = b"", limits().line_bytes_max
        async for piece in self._pieces():
            rest += piece
            if len(rest) < limits().add_chunk_bytes:
                continue
            whole, newline, rest = rest.rpartition(b"\n")
            if newline:
                yield whole + newline
            if len(rest) > longest:
                raise TooLarge(f"line: expected at most {longest} bytes", longest)
        if self._gone:
            rest = rest[: rest.rfind(b"\n") + 1]
        if rest:
            yield rest

    async def _pieces(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone = True
                return
            more = message.get("more_body", False)
            for piece in self._plain(message.get("body", b"")):
                yield piece
        if self._unzip is not None and not self._unzip.eof:
            raise NotReadable("body: expected gzip as Content-Encoding says, it breaks off")

    def _plain(self, piece: bytes) -> list[bytes]:
        """The piece unzipped: at most a thousandfold, so bounded by what the network brings."""
        if self._unzip is None:
            return [piece]
        plain = []
        try:
            while piece and not self._unzip.eof:
                plain.append(self._unzip.decompress(piece, UNZIP_BYTES))
                piece = self._unzip.unconsumed_tail
        except zlib.error as error:
            raise NotReadable(f"body: expected gzip as Content-Encoding says, {error}") from None
        return plain


def _refusal(error: JoblotError) -> Answer:
    told = of_error(error)
    return Answer(
        told.status_code, [(b"Content-Type", told["Content-Type"].encode())], told.content
    )


def _told(answer: Answer, added: int, lines_before: int) -> Answer:
    """The answer, with what the blocks before have added."""
    body = {**json.loads(answer.body), "added": added}
    if answer.status != 200:
        body["lines_before"] = lines_before
    content = json.dumps(body).encode()
    return Answer(answer.status, answer.without("Content-Length", "Content-Encoding"), content)
