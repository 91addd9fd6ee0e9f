"""The ASGI application: it calls the views, and calls them again while a client waits.

A claim that found nothing is repeated when there may be work (long polling). A stream that a client
reads consists of pages; one that it sends is cut into blocks of whole lines. Each page or block is
one call of the view, so a client never holds a thread, nor more memory than a block or a page. The
views say what may follow with the types in `api/long_polling.py`.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time

from django.core.handlers.asgi import get_script_prefix

from joblot.api.body import NDJSON, takes_stream
from joblot.api.health import unanswered
from joblot.api.items import SSE
from joblot.api.long_polling import Followed, Granted, NoWork, StreamPage, ViewCall
from joblot.api.problems import ProblemResponse
from joblot.api.sizes import body_bytes_max
from joblot.errors import JoblotError
from joblot.ledger.lease import release
from joblot.server.bridge import Bridge, Scope, Send, WholeResponse
from joblot.server.following import Following
from joblot.server.incoming import IncomingStream
from joblot.server.incoming_body import SILENCE_SECONDS_MAX, Gone, IncomingBody, Receive, Silent
from joblot.server.live import LiveJobs
from joblot.server.outgoing import OutgoingStream
from joblot.server.waiting import WaitingRoom

logger = logging.getLogger("joblot.server")

STREAMS = (NDJSON.encode(), SSE.encode())
HEALTH = ("/healthz", "/readyz")
HEALTH_SECONDS_MAX = 5.0  # for an answer to those; probes don't wait much longer
FIRST_CALL = ViewCall()
CALL_AGAIN = ViewCall(is_first=False)


class Gateway:
    """What uvicorn calls."""

    def __init__(self, bridge: Bridge, room: WaitingRoom, live: LiveJobs) -> None:
        self._bridge = bridge
        self._room = room
        self._live = live
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End waiting requests and streams; requests in flight get their answers."""
        self._stopping.set()
        self._room.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        zipped = False
        if _asks_for_stream(scope):
            scope, zipped = FIRST_CALL.in_scope(_plain(scope)), _takes_gzip(scope)
        body = IncomingBody(receive)
        try:
            if _brings_stream(scope):
                answer = await IncomingStream(scope, body).post_blocks(self._bridge)
            else:
                answer = await self._answer(scope, body)
        except Gone:
            return
        except Silent:
            answer = _silent()
        if isinstance(answer.follow_up, StreamPage) and answer.follow_up.next_query is not None:
            await self._stream(scope, answer, body, OutgoingStream(send, zipped=zipped))
        elif isinstance(answer.follow_up, Followed):
            await self._follow(scope, answer, body, answer.follow_up, OutgoingStream(send))
        else:
            await _send(send, answer, body)

    async def _answer(self, scope: Scope, body: IncomingBody) -> WholeResponse:
        if scope["path"] in HEALTH:
            return await self._health(scope)
        most = body_bytes_max(_path_info(scope), _length(scope))
        whole = await body.whole(most)
        if whole is None:
            return _too_large(most)
        content = whole.read() if _may_be_asked_again(scope) else b""
        whole.seek(0)
        answer = await self._bridge.ask(scope, whole)
        if isinstance(answer.follow_up, NoWork):
            return await self._wait(scope, content, answer, answer.follow_up, body)
        return answer

    async def _health(self, scope: Scope) -> WholeResponse:
        """Answer in any case, even if an unresponsive database holds all threads."""
        try:
            return await asyncio.wait_for(self._bridge.ask(scope, io.BytesIO()), HEALTH_SECONDS_MAX)
        except TimeoutError:
            return WholeResponse.of(unanswered(HEALTH_SECONDS_MAX))

    async def _wait(
        self,
        scope: Scope,
        content: bytes,
        answer: WholeResponse,
        no_work: NoWork,
        body: IncomingBody,
    ) -> WholeResponse:
        """Call the view again whenever there may be work, until the client's wait is over."""
        scope = CALL_AGAIN.in_scope(scope)
        ends = time.monotonic() + no_work.wait_seconds
        gone = asyncio.create_task(body.gone())
        try:
            while isinstance(answer.follow_up, NoWork) and not self._stopping.is_set():
                left = ends - time.monotonic()
                waiting = asyncio.create_task(self._room.wait(no_work.wanted, left))
                await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    waiting.cancel()
                    raise Gone
                if not await waiting or self._stopping.is_set():  # released, not woken
                    break
                answer = await self._bridge.ask(scope, io.BytesIO(content))
                if gone.done():
                    await self._give_back(answer)
                    raise Gone
        finally:
            gone.cancel()
        return answer

    async def _give_back(self, answer: WholeResponse) -> None:
        """Release what was granted to a client that had gone; if that fails, the lease expires."""
        granted = answer.follow_up
        for token in granted.tokens if isinstance(granted, Granted) else ():
            try:
                await self._bridge.call(release, token)
            except JoblotError as error:
                what = "the lease of a client that had gone is left to expire: %s"
                logger.warning(what, error, extra={"lease": token})

    async def _stream(
        self, scope: Scope, answer: WholeResponse, body: IncomingBody, stream: OutgoingStream
    ) -> None:
        """Send page after page, each requested once the previous one has been sent.

        Raises BrokenOff, which ends the connection without the end of the stream.
        """
        gone = asyncio.create_task(body.gone())
        scope = CALL_AGAIN.in_scope(scope)
        await stream.begin(answer)
        try:
            while not gone.done():
                page = answer.follow_up
                if not isinstance(page, StreamPage):  # refused, or a middleware responded
                    stream.break_off(f"the next page was answered with status {answer.status}")
                    break
                await stream.put(answer.body)
                if page.next_query is None:
                    break
                if await self._pause(page.pause_seconds, gone):
                    stream.break_off("this server stops")
                    break
                scope = {**scope, "query_string": page.next_query.encode()}
                answer = await self._bridge.ask(scope, io.BytesIO())
        finally:
            gone.cancel()
        await stream.end()

    async def _follow(
        self,
        scope: Scope,
        answer: WholeResponse,
        body: IncomingBody,
        followed: Followed,
        stream: OutgoingStream,
    ) -> None:
        """Send snapshots of a job, until the viewer goes away or this server stops."""
        gone = asyncio.create_task(body.gone())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await stream.begin(answer)
            await stream.put(answer.body)
            await Following(self._bridge, scope, followed).send(self._live, stream, gone, stopping)
            await stream.end()
        finally:
            gone.cancel()
            stopping.cancel()

    async def _pause(self, seconds: float, gone: asyncio.Task[None]) -> bool:
        """True if the stream must end: the client went away, or this server stops."""
        if not seconds:
            return self._stopping.is_set() or gone.done()
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait(
            {stopping, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        stopping.cancel()
        return bool(done)


async def _send(send: Send, answer: WholeResponse, body: IncomingBody) -> None:
    """Send a whole answer; it ends when the request has ended too."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send(
        {"type": "http.response.body", "body": answer.body, "more_body": not body.is_complete}
    )
    if not body.is_complete:
        await body.drain()
        await send({"type": "http.response.body", "body": b""})


def _brings_stream(scope: Scope) -> bool:
    given = _header(scope, b"content-type").decode("latin-1")
    return takes_stream(scope["method"], _path_info(scope), given.partition(";")[0].strip().lower())


def _length(scope: Scope) -> int | None:
    """The body's length in bytes according to its headers; None if they don't say."""
    if _header(scope, b"transfer-encoding"):
        return None
    return int(_header(scope, b"content-length") or 0)


def _path_info(scope: Scope) -> str:
    return str(scope["path"].removeprefix(get_script_prefix(scope)))


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key.lower() == name), b"")


def _asks_for_stream(scope: Scope) -> bool:
    accepted = _header(scope, b"accept")
    return scope["method"] == "GET" and any(kind in accepted for kind in STREAMS)


def _takes_gzip(scope: Scope) -> bool:
    return b"gzip" in _header(scope, b"accept-encoding").lower()


def _plain(scope: Scope) -> Scope:
    """The request, for pages that are not compressed one by one."""
    kept = [(key, value) for key, value in scope["headers"] if key.lower() != b"accept-encoding"]
    return {**scope, "headers": kept}


def _may_be_asked_again(scope: Scope) -> bool:
    return bool(scope["method"] == "POST" and scope["path"].endswith("/claims"))


def _too_large(most: int) -> WholeResponse:
    return WholeResponse.of(
        ProblemResponse(
            413, "too_large", f"body: expected at most {most} bytes; split it", limit=most
        )
    )


def _silent() -> WholeResponse:
    problem = ProblemResponse(
        408,
        "not_readable",
        f"body: nothing came for {SILENCE_SECONDS_MAX:g} s, and it is not complete; send it again",
    )
    problem["Connection"] = "close"
    return WholeResponse.of(problem)
