"""The servers of the arena: PostgreSQL with its commit latency as a parameter, and Redis."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.strategies.redis_sets import SOCKET, client
from bench.strategies.world import NAMES, create_tables, empty_tables, one, run
from joblot.testing.postgres import PostgresServer

START_SECONDS_MAX = 10
POSTGRES = {
    "track_commit_timestamp": "on",  # the lag is the difference of two of them
    # No checkpoint within a slice, after which each page would be written to the WAL once more.
    "checkpoint_timeout": "1h",
    "max_wal_size": "8GB",
    "shared_buffers": "512MB",
    "commit_siblings": "0",
}


# $1 = the server's pid, $2 = its folder. `read` returns when this process has ended.
WATCHDOG = 'read -r _; kill -9 "$1"; rm -rf "$2"'


class RedisServer:
    """Every write is on the disk before its answer, or within a second with `everysec`."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="joblot-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        socket = self._home / "redis.sock"
        files = ["--dir", str(self._home), "--unixsocket", str(socket), "--port", "0"]
        durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        self._process = subprocess.Popen(
            ["redis-server", *files, *durable],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._watchdog = subprocess.Popen(
            ["sh", "-c", WATCHDOG, "watchdog", str(self._process.pid), str(self._home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.environ[SOCKET] = str(socket)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("redis-server did not start")
            time.sleep(0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._watchdog.communicate()  # closes its pipe, and it removes the folder

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def sync(self, how: str) -> None:
        """`always` or `everysec`."""
        client().config_set("appendfsync", how)


@contextmanager
def servers() -> Iterator[tuple[PostgresServer, RedisServer]]:
    """Both, with joblot's tables and the arena's; Django uses this database from now on."""
    from joblot import standalone

    with PostgresServer(options=POSTGRES) as postgres, RedisServer() as redis:
        standalone.setup(postgres.create_database("arena"))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        create_tables()
        yield postgres, redis


def set_commit_delay(microseconds: int) -> None:
    """0 is the disk's own latency; 2000 is about that of a disk in the network."""
    run(f"ALTER SYSTEM SET commit_delay = {int(microseconds)}")
    run("SELECT pg_reload_conf()")
    while run("SHOW commit_delay") != [(str(microseconds),)]:
        time.sleep(0.01)


def empty() -> None:
    """Let no strategy find the rows of another: a table that has grown costs more."""
    if one("SELECT EXISTS (SELECT FROM joblot_job)"):
        tables = run("SELECT tablename FROM pg_tables WHERE tablename LIKE 'joblot\\_%%'")
        run("TRUNCATE " + ", ".join(name for (name,) in tables))
    empty_tables()
    client().flushall()


def analyze() -> None:
    """What autovacuum would have done by now, so that plans do not depend on when it runs."""
    run(f"ANALYZE {NAMES}, joblot_lease, joblot_item, joblot_outcome, joblot_tally, joblot_range")
