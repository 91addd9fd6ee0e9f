"""Processor time of this process and of its backend, the stable figure on a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds. SQLite works in the client, so there is no server."""

    client: float = 0.0
    server: float = 0.0
    wall: float = 0.0

    @property
    def cpu(self) -> float:
        return self.client + self.server

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.client + other.client, self.server + other.server, self.wall + other.wall)

    def each(self, times: int) -> Cost:
        return Cost(self.client / times, self.server / times, self.wall / times)


def spent(act: Callable[[], object], times: int = 1) -> Cost:
    """What one of `times` calls takes."""
    pid = backend()
    client, server, wall = time.process_time(), _seconds(pid), time.perf_counter()
    for _ in range(times):
        act()
    wall = time.perf_counter() - wall
    whole = Cost(time.process_time() - client, _seconds(pid) - server, wall)
    assert pid == backend(), "it has connected again"
    return whole.each(times)


def backend() -> int | None:
    """The process of PostgreSQL that serves this one; None on SQLite."""
    from django.db import connection

    connection.ensure_connection()
    return connection.connection.info.backend_pid if connection.vendor == "postgresql" else None


def peak_mib(pid: int | None = None) -> float:
    """The most memory that a process, or this one, has had."""
    return _status(pid, "VmHWM")


def private_mib(pid: int) -> float:
    """The memory of a process now, without what it shares with others."""
    return _status(pid, "RssAnon")


def select_1() -> None:
    """The least that anything costs which asks the database."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def _status(pid: int | None, name: str) -> float:
    lines = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def _seconds(pid: int | None) -> float:
    if pid is None:
        return 0.0
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9
