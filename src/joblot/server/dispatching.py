"""The process of `joblot dispatch`: it publishes grants, and answers workers' requests."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence

from joblot.dispatch import database
from joblot.dispatch.jetstream import JetStream
from joblot.dispatch.publisher import DispatcherSettings
from joblot.ledger.rows import wake
from joblot.server.announcer import Announcer
from joblot.server.bridge import Bridge
from joblot.server.over_nats import Responder
from joblot.worker.nats_address import NatsAddress

logger = logging.getLogger("joblot.dispatch")


def dispatch(
    address: NatsAddress, pipelines: Sequence[str], settings: DispatcherSettings, threads: int
) -> None:
    """Run until SIGTERM or SIGINT; then the outstanding grants are withdrawn."""
    asyncio.run(_run_until_signal(address, pipelines, settings, threads))


async def _run_until_signal(
    address: NatsAddress, pipelines: Sequence[str], settings: DispatcherSettings, threads: int
) -> None:
    ends = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ends.set)
    bridge = Bridge(threads)
    try:
        await run(bridge, address, pipelines, settings, ends)
    finally:
        await asyncio.to_thread(bridge.close)


async def run(
    bridge: Bridge,
    address: NatsAddress,
    pipelines: Sequence[str],
    settings: DispatcherSettings,
    ends: asyncio.Event,
    *,
    on_stream: Callable[[JetStream], object] = lambda stream: None,
) -> None:
    """Dispatch until `ends`. Raises what the dispatcher raises, which is a fault of joblot."""
    signals, announcer = database.backend(), Announcer(bridge)
    stream = JetStream(address, pipelines, bridge.call, settings, Responder(bridge).serve)
    on_stream(stream)
    tasks = [
        asyncio.create_task(signals.run(stream.note_work)),
        asyncio.create_task(stream.run(stream.note_work)),
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
