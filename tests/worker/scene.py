"""A worker and a server with a network between them that can be taken away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joblot.worker import HttpClient, Worker, each
from joblot.worker.function import Work
from joblot.worker.spool import Spool
from tests.worker.conftest import Working
from tests.worker.server import Server


@dataclass
class Scene:
    """A server, its client, a folder for spools, and how often each item was computed."""

    working: Working
    server: Server
    client: HttpClient
    folder: Path
    token: str
    calls: Counter[Any] = field(default_factory=Counter)

    def work(self, n: int) -> int:
        self.calls[n] += 1
        return n * n

    def once(self, count: int) -> None:
        """Assert that each number below `count` was computed exactly once."""
        assert self.calls == Counter(range(count))

    @contextmanager
    def serving(self, work: Work | None = None, **settings: Any) -> Iterator[Worker]:
        """A worker with its own spool in the folder."""
        settings.setdefault("spool", Spool.begin(self.folder))
        settings.setdefault("client", self.client)
        with self.working(work or each(self.work), **settings) as worker:
            yield worker

    def away(self, path: str = "results") -> None:
        self.server.network.refuse[path] = b"HTTP/1.0 503 Away\r\nRetry-After: 0\r\n\r\n"

    def back(self) -> None:
        self.server.network.refuse.clear()

    def files(self) -> list[Path]:
        return list(self.folder.glob("*/*.results"))

    def left(self) -> list[Path]:
        return list(self.folder.iterdir())
