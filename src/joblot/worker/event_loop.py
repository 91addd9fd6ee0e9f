"""One event loop for all calls of an async function."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from joblot.worker.causes import Interrupted


class EventLoop:
    """Runs awaitables one at a time, in the calling thread."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def call(self, function: Callable[[Any], Awaitable[Any]], given: Any) -> Any:
        try:
            returned, error = self._runner.run(_ended(function(given)))
        except (KeyboardInterrupt, SystemExit):
            self._replace_runner()
            raise
        if error is not None:
            raise error
        return returned

    def close(self) -> None:
        self._runner.close()

    def _replace_runner(self) -> None:
        """These two exceptions leave the loop at once; tasks left in it would harm later calls."""
        left, self._runner = self._runner, asyncio.Runner()
        try:
            left.close()
        except Interrupted:
            raise
        except BaseException:  # noqa: BLE001, S110 (theirs; the call has failed already)
            pass


async def _ended(call: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """What it returned or raised: an exception that escapes a task may harm the loop."""
    try:
        return await call, None
    except BaseException as error:  # noqa: BLE001 (it is raised to the caller)
        return None, error
