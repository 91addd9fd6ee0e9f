"""The databases that the peers use, started anew for each measurement, and durable."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.peers.cpu import tree_seconds
from bench.peers.shape import Service
from joblot.testing.postgres import PostgresServer

STARTS_WITHIN_SECONDS = 20


@dataclass
class Services:
    """Running servers: their addresses for the peers, and what the harness reads from them."""

    addresses: dict[str, str] = field(default_factory=dict)
    pids: list[int] = field(default_factory=list)
    database: psycopg.Connection[Any] | None = None
    redis: Redis | None = None

    def cpu_seconds(self) -> float:
        return sum(map(tree_seconds, self.pids))

    def wal_bytes(self) -> int:
        if self.database is None:
            return 0
        row = self.database.execute(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
        ).fetchone()
        return int(row[0]) if row else 0

    def number(self, questions: tuple[str, ...]) -> int:
        """The sum of what SQL statements and Redis commands answer."""
        return sum(map(self._answer, questions))

    def _answer(self, question: str) -> int:
        if question.upper().startswith("SELECT"):
            assert self.database is not None
            row = self.database.execute(question.encode()).fetchone()
            return int(row[0]) if row else 0
        assert self.redis is not None
        return self.redis.number(question)


@contextmanager
def started(services: tuple[Service, ...], appendfsync: str) -> Iterator[Services]:
    with ExitStack() as stack:
        found = Services()
        if "postgres" in services:
            server = stack.enter_context(PostgresServer())
            url = server.create_database("peers")
            found.addresses["PEER_DATABASE_URL"] = url
            found.addresses |= {
                "PGHOST": str(server.home),
                "PGPORT": "5432",
                "PGUSER": "joblot",
                "PGDATABASE": "peers",
            }
            found.database = stack.enter_context(psycopg.connect(url, autocommit=True))
            found.pids.append(int((server.data_dir / "postmaster.pid").read_text().split()[0]))
        if "redis" in services:
            port, pid = stack.enter_context(_redis(appendfsync))
            found.addresses["PEER_REDIS_URL"] = f"redis://127.0.0.1:{port}"
            found.redis = Redis(port)
            found.pids.append(pid)
        yield found


@contextmanager
def old_snapshot(url: str) -> Iterator[None]:
    """A transaction that has read and stays open, as a report or a dump would."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM pg_class")
        yield


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _redis(appendfsync: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": folder,
            "appendonly": "yes",
            "appendfsync": appendfsync,
            "save": "",
        }
        command = ["redis-server"]
        for name, value in options.items():
            command += [f"--{name}", value]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _await(port)
            yield port, process.pid
        finally:
            process.kill()
            process.wait()


def _await(port: int) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Redis:
    """As much of a client as the harness needs: commands that answer with a number."""

    def __init__(self, port: int) -> None:
        self._port = port

    def number(self, command: str) -> int:
        with socket.create_connection(("127.0.0.1", self._port), timeout=10) as connection:
            connection.sendall(command.encode() + b"\r\n")
            answer = connection.makefile("rb").readline()
        if not answer.startswith(b":"):
            raise ValueError(f"{command}: expected a number, got {answer!r}")
        return int(answer[1:])
