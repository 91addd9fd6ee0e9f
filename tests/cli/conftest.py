"""The command line as users run it: real processes, with their own database and folder."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from joblot.private import FILE, make_folder
from joblot.testing.postgres import PostgresServer
from tests.polling import eventually

SECONDS_MAX = 60
# The installed command: `python -m joblot.cli` would add the working folder to Python's path.
JOBLOT = str(Path(sys.executable).parent / "joblot")
WORK = '''
"""What the tests run. A call is noted in a file; a gate is waited for without end."""

import os
import signal
import threading
import time
from pathlib import Path

from joblot.errors import RetryableError


def note(key):
    with open("calls", "a") as calls:
        calls.write(f"{key}\\n")


def gate(name):
    orders = [one for one in threading.enumerate() if one.name == "joblot-orders"]
    Path(f"at-{name}").write_text(str(os.getpid()))
    while not Path(f"open-{name}").exists():
        if orders and not any(one.is_alive() for one in orders):
            Path("orders-ended").touch()
        time.sleep(0.01)


def upper(key):
    note(key)
    return key.upper()


def size(path):
    return Path(path).stat().st_size


def double(numbers):
    return [2 * n for n in numbers]


def picky(key):
    note(key)
    if key.startswith("bad"):
        raise ValueError(f"{key} is bad")
    if key == "busy" and not Path("was-busy").exists():
        Path("was-busy").touch()
        raise RetryableError("busy")
    return key


def poison(key):
    note(key)
    if key == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return key


def leaves(key):
    os._exit(7)


def gated(key):
    note(key)
    if key == "gate":
        gate("gate")
    return key
'''


@contextmanager
def not_migrated() -> Iterator[None]:
    """Suppress errors of missing tables. A busy file must not count as 0."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise


@dataclass
class Joblot:
    """`joblot("show", "7")` waits for the command to end; `start` leaves it running."""

    folder: Path
    environment: dict[str, str]
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(
        self, *args: str, expect: int | None = 0, given: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [JOBLOT, *args],
            cwd=self.folder,
            env=self.environment | environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        if expect is not None:
            assert done.returncode == expect, done.stdout + done.stderr
        ours = [line for line in done.stderr.splitlines() if line.startswith("Traceback")]
        assert not ours, done.stderr  # that of an item is indented
        return done

    def start(self, *args: str, via: Sequence[str] = ()) -> subprocess.Popen[str]:
        """`via` is a command that runs another one."""
        process = subprocess.Popen(
            [*via, JOBLOT, *args],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def json(self, *args: str) -> Any:
        return json.loads(self(*args, "--json").stdout)

    def settled(self) -> int:
        """How many items have an outcome."""
        return self.count("SELECT count(*) FROM joblot_outcome")

    def in_flight(self) -> int:
        """How many items live leases hold."""
        return self.count("SELECT coalesce(sum(open), 0) FROM joblot_lease WHERE state = 0")

    def count(self, query: str) -> int:
        """Reads the database directly, since starting a process is slow."""
        if url := self.environment.get("JOBLOT_DATABASE_URL"):
            with psycopg.connect(url) as server:
                (row,) = server.execute(query.encode()).fetchall()
                return int(row[0])
        path = self.folder / "data" / "joblot" / "joblot.sqlite3"
        if path.exists():
            with closing(sqlite3.connect(path, timeout=SECONDS_MAX)) as file, not_migrated():
                return int(file.execute(query).fetchone()[0])
        return 0  # missing, or not migrated yet

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def at_gate(self, name: str = "gate") -> int:
        """Wait until a worker waits at the gate; returns its process id."""
        path = self.folder / f"at-{name}"
        return int(eventually(lambda: path.read_text() if path.exists() else None))

    def submitted(self) -> None:
        """Wait until the run has sealed its job; workers start earlier."""
        eventually(lambda: self.count("SELECT count(*) FROM joblot_job WHERE sealed"))

    def orders_ended(self) -> None:
        """Wait until the worker at the gate knows that it must begin nothing more.

        The order arrives over a pipe. If the gate opened earlier, it might begin its next call.
        """
        eventually((self.folder / "orders-ended").exists)

    def open_gate(self, name: str = "gate") -> None:
        (self.folder / f"open-{name}").touch()

    def end(self) -> None:
        self.open_gate()
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def make_joblot(tmp_path: Path) -> Iterator[Callable[..., Joblot]]:
    made = []

    def make(**environment: str) -> Joblot:
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("JOBLOT_", "DJANGO_"))}
        (tmp_path / "work.py").write_text(WORK)
        settings = ours | {"XDG_DATA_HOME": str(tmp_path / "data")} | environment
        made.append(Joblot(tmp_path, settings))
        return made[-1]

    yield make
    for joblot in made:
        joblot.end()


@pytest.fixture
def joblot(make_joblot: Callable[..., Joblot], migrated_file: Path) -> Joblot:
    """On its own SQLite file, which is empty and migrated: that takes a command 0.4 s of CPU.

    Tests of what makes the file use `make_joblot`.
    """
    joblot = make_joblot()
    copy = make_folder(joblot.folder / "data" / "joblot") / "joblot.sqlite3"
    copy.write_bytes(migrated_file.read_bytes())
    copy.chmod(FILE)
    return joblot


@pytest.fixture
def joblot_on_postgres(
    make_joblot: Callable[..., Joblot], postgres_server: PostgresServer, tmp_path: Path
) -> Joblot:
    """On its own empty PostgreSQL database, not migrated."""
    name = "cli_" + "".join(c if c.isalnum() else "_" for c in tmp_path.name.lower())
    return make_joblot(JOBLOT_DATABASE_URL=postgres_server.create_database(name))
