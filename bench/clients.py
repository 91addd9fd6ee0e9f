"""HTTP clients with minimal overhead: prepared requests, persistent connections, one process."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterable, Sequence
from typing import Any

from storm import Storm


def request(path: str, body: Any, token: str) -> bytes:
    """A complete POST request, ready to send."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def http_storm(port: int, queues: Sequence[Iterable[bytes]], seconds: float) -> Storm:
    """Send each queue on its own connection, each request after the previous response.

    Runs in a separate process, so that the driver does not take the server's share of the CPU.
    """
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(
        target=lambda: sender.send(asyncio.run(_storm(port, queues, seconds))), daemon=True
    )
    child.start()
    result: Storm = receiver.recv()
    child.join()
    return result


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and body of the next response."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    return status, await reader.readexactly(length)


async def _storm(port: int, queues: Sequence[Iterable[bytes]], seconds: float) -> Storm:
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in queues]
    began = time.monotonic()
    ends = began + seconds
    acts: list[tuple[float, float]] = []

    async def handle(number: int) -> None:
        reader, writer = opened[number]
        for one in queues[number]:
            sent = time.monotonic()
            if sent >= ends:
                break
            writer.write(one)
            status, body = await answer_of(reader)
            assert status == 200, (status, body[:300])
            acts.append((time.monotonic() - sent, time.monotonic()))
        writer.close()

    await asyncio.gather(*map(handle, range(len(queues))))
    took, ended = zip(*acts, strict=True)
    return Storm(max(ended) - began, list(took), list(ended), [True] * len(acts))
