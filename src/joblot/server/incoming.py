"""A stream of lines that a client sends, posted to the views block by block.

What was posted before the stream broke off stays, and sending it again skips it; so does a stream
in which one line is wrong. The answer adds up what the blocks were answered.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

from joblot.api.body import Unzip
from joblot.api.patience import LINES
from joblot.api.problems import of_error
from joblot.config import limits
from joblot.errors import JoblotError
from joblot.server.bridge import Answer, Bridge, Scope
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

    async def post_blocks(self, bridge: Bridge) -> Answer:
        """The answer to the whole stream, or to the first block that was refused.

        Raises Gone or Silent if the stream broke off; the whole lines that had come are posted.
        """
        added, lines = 0, 0
        answer: Answer | None = None
        try:
            async for block in self._blocks():
                answer = await self._post(bridge, block, lines)
                counted = _members(answer).get("added")
                if answer.status != 200 or counted is None:
                    return _told(answer, added, lines)
                added += counted
                lines += block.count(b"\n")
        except JoblotError as error:
            return _told(Answer.of(of_error(error)), added, lines)
        if self._broke_off:
            raise self._broke_off
        return _told(answer or await self._post(bridge, b"", lines), added, lines)

    async def _post(self, bridge: Bridge, block: bytes, lines: int) -> Answer:
        more = {b"content-length": len(block), LINES.lower().encode(): lines}
        headers = [(name, str(value).encode()) for name, value in more.items()]
        scope = {**self._scope, "headers": [*self._scope["headers"], *headers]}
        return await bridge.ask(scope, io.BytesIO(block))

    async def _blocks(self) -> AsyncIterator[bytes]:
        """Blocks of whole lines; the last may lack its newline, unless the stream broke off."""
        rest, longest = b"", limits().line_bytes_max
        async for piece in self._plain():
            rest += piece
            if len(rest) < limits().add_chunk_bytes:
                continue
            whole, newline, rest = rest.rpartition(b"\n")
            if newline:
                yield whole + newline
            if len(rest) > longest:  # more than a block, and no end: the line after those posted
                yield rest
        if self._broke_off:
            rest = rest[: rest.rfind(b"\n") + 1]
        if rest:
            yield rest

    async def _plain(self) -> AsyncIterator[bytes]:
        """What the client sends, unzipped, until it ends or breaks off."""
        try:
            async for piece in self._body.pieces():
                for plain in self._unzip.plain(piece) if self._unzip else (piece,):
                    yield plain
        except (Gone, Silent) as error:
            self._broke_off = error
            return
        if self._unzip:
            self._unzip.end()


def _members(answer: Answer) -> dict[str, Any]:
    """What the view told; nothing if a project's middleware answered in its place."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _told(answer: Answer, added: int, lines_before: int) -> Answer:
    """The answer, with what the blocks before have added; what is no JSON object stays as it is."""
    members = _members(answer)
    if not members:
        return answer
    members["added"] = added
    if answer.status != 200:
        members["lines_before"] = lines_before
    content = json.dumps(members).encode()
    length = (b"Content-Length", str(len(content)).encode())
    return Answer(answer.status, [*answer.without("Content-Length"), length], content)
