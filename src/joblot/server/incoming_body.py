"""The body of one request, as it arrives."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import IO, Any

Receive = Callable[[], Awaitable[dict[str, Any]]]

SPOOL_BYTES = 1_048_576  # a larger body is kept in a file
SILENCE_SECONDS_MAX = 60.0  # between two pieces of a body
DRAIN_BYTES_MAX = 1_073_741_824
DRAIN_SILENCE_SECONDS_MAX = 5.0


class Gone(Exception):
    """The client went away before its request was complete."""


class Silent(Exception):
    """The client is connected, but sends no more of its body."""


class IncomingBody:
    """The body that a client sends. It is read once, by one reader."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._more = True

    async def pieces(
        self, silence_seconds_max: float = SILENCE_SECONDS_MAX
    ) -> AsyncIterator[bytes]:
        """The pieces as they arrive, until the body is complete. Raises Gone, Silent."""
        while self._more:
            try:
                async with asyncio.timeout(silence_seconds_max):
                    message = await self._receive()
            except TimeoutError:
                raise Silent from None
            if message["type"] == "http.disconnect":
                self._more = False
                raise Gone
            self._more = message.get("more_body", False)
            yield message.get("body", b"")

    async def whole(self, bytes_max: int) -> IO[bytes] | None:
        """The whole body, on disk if it is large; None if it is larger than `bytes_max`.

        Raises Gone, Silent.
        """
        whole: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 (its reader closes it)
        size = 0
        try:
            async for piece in self.pieces():
                size += len(piece)
                if size > bytes_max:
                    whole.close()
                    return None
                whole.write(piece)
        except BaseException:
            whole.close()
            raise
        whole.seek(0)
        return whole

    @property
    def is_complete(self) -> bool:
        """True if all of it has been read."""
        return not self._more

    async def drain(self) -> None:
        """Read and discard the rest, so that a client that reads only after it has sent everything
        gets the answer: closing the connection earlier would discard it.
        """
        size = 0
        try:
            async for piece in self.pieces(DRAIN_SILENCE_SECONDS_MAX):
                size += len(piece)
                if size > DRAIN_BYTES_MAX:
                    return
        except (Gone, Silent):
            return

    async def gone(self) -> None:
        """Return when the client goes away; only once the body is complete."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
