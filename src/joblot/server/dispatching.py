"""The process of `joblot dispatch`: grants go out, and workers' requests are answered."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence

from joblot.dispatch import database
from joblot.dispatch.feed import FeedSettings
from joblot.dispatch.jetstream import JetStream
from joblot.ledger.rows import wake
from joblot.server.announcer import Announcer
from joblot.server.bridge import Bridge
from joblot.server.over_nats import Responder

logger = logging.getLogger("joblot.dispatch")


def dispatch(url: str, pipelines: Sequence[str], settings: FeedSettings, threads: int) -> None:
    """Run until SIGTERM or SIGINT; then what no worker has taken is given back."""
    asyncio.run(_until_told(url, pipelines, settings, threads))


async def _until_told(
    url: str, pipelines: Sequence[str], settings: FeedSettings, threads: int
) -> None:
    ends = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ends.set)
    bridge = Bridge(threads)
    try:
        await run(bridge, url, pipelines, settings, ends)
    finally:
        await asyncio.to_thread(bridge.close)


async def run(
    bridge: Bridge,
    url: str,
    pipelines: Sequence[str],
    settings: FeedSettings,
    ends: asyncio.Event,
    *,
    on_stream: Callable[[JetStream], object] = lambda stream: None,
) -> None:
    """Dispatch until `ends`. Raises what the dispatcher raises, which is a fault of joblot."""
    signals, announcer = database.backend(), Announcer(bridge)
    stream = JetStream(url, pipelines, bridge.call, settings, Responder(bridge).serve)
    on_stream(stream)
    tasks = [
        asyncio.create_task(signals.run(stream.look)),
        asyncio.create_task(stream.run(stream.look)),
        asyncio.create_task(ends.wait()),
    ]
    try:
        with wake.delivered_by(announcer.begin()):
            await asyncio.wait(tasks[1:], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await announcer.stop()
    if not tasks[1].cancelled():
        tasks[1].result()
