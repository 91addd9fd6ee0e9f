"""How fast grants go out over NATS JetStream: leased in the ledger, published, confirmed.

    python bench/dispatching.py [--items 200000] [--grant 256] [--rounds 3]

The window is as large as the job, so that nothing waits for workers; there are none. Measured are
items a second from the start of the dispatcher to the broker's last confirmation, its processor
time, and how much its memory has grown.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from figures import figure, write

from joblot import standalone
from joblot.testing.postgres import PostgresServer

Round = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--grant", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with PostgresServer() as server, _nats() as nats_url:
        standalone.setup(server.create_database("bench"), served=True)
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        found = []
        for n in range(asked.rounds + 1):
            found.append(_round(nats_url, n, asked.items, asked.grant))
            print({name: round(value, 2) for name, value in found[-1].items()})
    del found[0]  # it warms up
    rates = [one["items a second"] for one in found]
    write(
        "dispatching",
        [figure("items a second leased and published over NATS", rates, ">= 20000")],
        {"rounds": found},
    )


@contextmanager
def _nats() -> Iterator[str]:
    program = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    program = program or shutil.which("nats-server")
    if program is None:
        raise SystemExit("nats-server is not installed")
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _round(nats_url: str, number: int, items: int, grant: int) -> Round:
    from joblot import cancel, submit

    pipeline = f"p{number}"
    job = submit("bench", map(str, range(items)), pipeline=pipeline, policy={"lease_seconds": 3600})
    own = psutil.Process()
    memory, times = own.memory_info().rss, own.cpu_times()
    seconds = asyncio.run(_dispatched(nats_url, pipeline, items, grant))
    spent = own.cpu_times()
    cancel(job.pk, grace_seconds=0)
    return {
        "items a second": items / seconds,
        "processor ms of 1,000 items": 1e6
        * (spent.user + spent.system - times.user - times.system)
        / items,
        "MB grown": (own.memory_info().rss - memory) / 1e6,
    }


async def _dispatched(nats_url: str, pipeline: str, items: int, grant: int) -> float:
    """Seconds until all grants are acknowledged."""
    from joblot.dispatch.jetstream import JetStream
    from joblot.dispatch.publisher import DispatcherSettings
    from joblot.server.bridge import Bridge
    from joblot.worker.nats_address import NatsAddress

    bridge = Bridge(8)
    settings = DispatcherSettings(f"d-{pipeline}", grant, window=items)
    stream = JetStream(NatsAddress.parsed(nats_url), [pipeline], bridge.call, settings)
    (publisher,) = stream.publishers
    running = asyncio.create_task(stream.run(stream.note_work))
    while not stream.broker.is_up:  # noqa: ASYNC110 (it has no event)
        await asyncio.sleep(0.01)
    began = time.monotonic()
    while publisher.items_published < items and not running.done():  # noqa: ASYNC110 (as above)
        await asyncio.sleep(0.01)
    seconds = time.monotonic() - began
    running.cancel()
    await asyncio.wait({running})
    await asyncio.to_thread(bridge.close)
    return seconds


if __name__ == "__main__":
    main()
