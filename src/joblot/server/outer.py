"""The ASGI application: it asks the views, and goes on asking where a client waits.

A claim that found nothing is asked again when there may be work. A stream that is read is one
page after the other; a stream that is sent is cut into blocks of whole lines, each a request of
its own. So a thread is never held by a client, and memory by no more than a block or a page.
"""

from __future__ import annotations

import asyncio
import io
import time

from joblot.api.body import NDJSON
from joblot.api.items import SSE
from joblot.api.patience import CONTINUE, OUTER, WAIT, Continue, Wait
from joblot.api.problems import problem
from joblot.api.sizes import body_bytes_max
from joblot.server.bridge import Answer, Bridge, Gone, Receive, Scope, Send, read_body, send_answer
from joblot.server.incoming import IncomingStream
from joblot.server.outgoing import OutgoingStream
from joblot.server.waiting import WaitingRoom

STREAMS = (NDJSON.encode(), SSE.encode())


class Outer:
    """What uvicorn calls."""

    def __init__(self, bridge: Bridge, room: WaitingRoom) -> None:
        self._bridge = bridge
        self._room = room
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End what waits and streams; requests in flight get their answers."""
        self._stopping.set()
        self._room.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope = _marked(scope)
        if _asks_for_stream(scope):
            scope = {**_plain(scope), "joblot.zipped": _takes_gzip(scope)}
        try:
            if _is_stream(scope):
                await self._take_stream(scope, receive, send)
            else:
                await self._answer(scope, receive, send)
        except Gone:
            return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = body_bytes_max(scope["path"])
        body = await read_body(receive, most)
        if body is None:
            await _refuse_size(send, most)
            return
        content = body.read() if _may_be_asked_again(scope) else None
        body.seek(0)
        answer = await self._bridge.ask(scope, body)
        if content is not None and answer.header(WAIT):
            gone = asyncio.create_task(_until_gone(receive))
            answer = await self._wait(scope, content, answer, gone)
            gone.cancel()
        if answer.header(CONTINUE):
            await self._stream(scope, answer, receive, send)
            return
        await send_answer(send, answer.status, answer.without(WAIT, CONTINUE), answer.body)

    async def _wait(
        self, scope: Scope, content: bytes, answer: Answer, gone: asyncio.Task[None]
    ) -> Answer:
        """Ask again whenever there may be work, until the client's time is over."""
        asked = Wait.of(answer.header(WAIT) or "")
        ends = time.monotonic() + asked.seconds
        while answer.header(WAIT) and not self._stopping.is_set():
            left = ends - time.monotonic()
            waiting = asyncio.create_task(self._room.wait(asked.pipelines, left))
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                waiting.cancel()
                raise Gone
            if not await waiting:
                break
            answer = await self._bridge.ask(scope, io.BytesIO(content))
        return answer

    async def _stream(self, scope: Scope, answer: Answer, receive: Receive, send: Send) -> None:
        """Send page after page, each asked for when the one before has been taken."""
        gone = asyncio.create_task(_until_gone(receive))
        stream = OutgoingStream(send, zipped=scope.get("joblot.zipped", False))
        await stream.begin(answer)
        while not gone.done():
            await stream.put(answer.body)
            following = answer.header(CONTINUE)
            if following is None or answer.status != 200:
                break
            page = Continue.of(following)
            if page.pause_seconds and await self._pause(page.pause_seconds, gone):
                break
            scope = {**scope, "query_string": page.query.encode()}
            answer = await self._bridge.ask(scope, io.BytesIO())
        gone.cancel()
        await stream.end()

    async def _pause(self, seconds: float, gone: asyncio.Task[None]) -> bool:
        """True if it is time to end: the client went away, or this server stops."""
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait(
            {stopping, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        stopping.cancel()
        return bool(done)

    async def _take_stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = IncomingStream(scope, receive)
        answer = await stream.post_blocks(self._bridge)
        await send_answer(send, answer.status, answer.headers, answer.body)


def _marked(scope: Scope) -> Scope:
    """The request with our mark, and with nobody else's."""
    mark = OUTER.lower().encode()
    headers = [(name, value) for name, value in scope["headers"] if name.lower() != mark]
    return {**scope, "headers": [*headers, (mark, b"1")]}


def _is_stream(scope: Scope) -> bool:
    given = _header(scope, b"content-type").decode("latin-1")
    return scope["method"] == "POST" and given.partition(";")[0].strip().lower() == NDJSON


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key.lower() == name), b"")


def _asks_for_stream(scope: Scope) -> bool:
    accepted = _header(scope, b"accept")
    return scope["method"] == "GET" and any(kind in accepted for kind in STREAMS)


def _takes_gzip(scope: Scope) -> bool:
    return b"gzip" in _header(scope, b"accept-encoding").lower()


def _plain(scope: Scope) -> Scope:
    """The request for pages that are not zipped one by one."""
    kept = [(key, value) for key, value in scope["headers"] if key.lower() != b"accept-encoding"]
    return {**scope, "headers": kept}


def _may_be_asked_again(scope: Scope) -> bool:
    return bool(scope["method"] == "POST" and scope["path"].endswith("/claims"))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse_size(send: Send, most: int) -> None:
    told = problem(413, "too_large", f"body: expected at most {most} bytes; split it", limit=most)
    headers = [(b"Content-Type", told["Content-Type"].encode()), (b"Connection", b"close")]
    await send_answer(send, 413, headers, told.content)
