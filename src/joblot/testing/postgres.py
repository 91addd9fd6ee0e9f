"""A temporary PostgreSQL server for tests, the demo and benchmarks.

    with PostgresServer() as server:
        url = server.create_database("joblot")

It listens on a Unix socket in a folder that only its owner can enter, so it needs no password and
no free port. It stops at the end of the `with` block, when the interpreter exits, or when the
process is killed: a small watchdog waits on a pipe that only the process and its forks hold open.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Literal, Self
from urllib.parse import quote, urlencode

from joblot import private
from joblot.errors import Unavailable
from joblot.testing.postgres_programs import (
    Owner,
    Programs,
    find_programs,
    plain_environment,
    run_as,
)
from joblot.testing.sockets import SHORT, short_folder

USER = "joblot"
PORT = 5432  # names the socket; nothing listens on the network
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
POLL_SECONDS = 0.02
LOG_BYTES_SHOWN = 4000

StopMode = Literal["fast", "immediate"]
STOP_SIGNAL = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# $1 = the server's pid, $2 = the signal that stops it, $3 = the folder to remove, $4 = seconds.
# `read` returns when the pipe is closed. The folder is removed only after the server has ended,
# since files written meanwhile would remain. An ended server stays a zombie (Z) where nothing
# reaps orphans.
WATCHDOG = """
read -r _
kill -"$2" "$1"
tries=0
while [ "$tries" -lt $(($4 * 10)) ] && kill -0 "$1" && ! grep -q "^State:.Z" "/proc/$1/status"; do
    sleep 0.1
    tries=$((tries + 1))
done
rm -rf "$3"
"""


class PostgresServer:
    """One server with its own data. It can be started, stopped and restarted repeatedly.

    `data_dir`: kept when the server is closed; None for a temporary one.
    `durable`: commits wait for the disk, so that killing the server loses nothing; False is faster.
    `options`: server settings by name, as in postgresql.conf.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        durable: bool = True,
        max_connections: int = 200,
        options: dict[str, str] | None = None,
    ) -> None:
        self._settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "max_connections": str(max_connections),
            **({} if durable else NOT_DURABLE),
            **(options or {}),
        }
        self._durable = durable
        self._asked_data_dir = data_dir
        self._home: Path | None = None
        self._owner = Owner.choose()
        self._programs: Programs | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._opened_by = os.getpid()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def home(self) -> Path:
        """The folder of the socket and the log; it exists until `close`."""
        if self._home is None:
            raise Unavailable("the PostgreSQL server was not started: call start() first.")
        return self._home

    @property
    def data_dir(self) -> Path:
        return self._asked_data_dir or self.home / "data"

    @property
    def log(self) -> str:
        """The end of the server's log."""
        path = self.home / "server.log"
        return path.read_text(errors="replace")[-LOG_BYTES_SHOWN:] if path.exists() else ""

    @property
    def major_version(self) -> int:
        return self._find_programs().major_version

    @property
    def _closing_mode(self) -> StopMode:
        """Data that is removed with the server need not be flushed first."""
        return "fast" if self._asked_data_dir else "immediate"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until it accepts connections. Raises Unavailable with the log's end."""
        if self.running:
            return
        self._open_home()
        try:
            self._init_data()
            self._launch()
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def stop(self, mode: StopMode = "fast") -> None:
        """`immediate` is a crash: nothing is flushed, and the next start recovers from the WAL."""
        self._dismiss_watchdog()
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(STOP_SIGNAL[mode])
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self, mode: StopMode = "fast") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop the server and remove its temporary files. Does nothing in a forked child."""
        if os.getpid() != self._opened_by:
            return
        self.stop(self._closing_mode)
        atexit.unregister(self.close)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def url(self, database: str = "postgres") -> str:
        query = urlencode({"host": self.home, "port": PORT}, quote_via=quote)
        return f"postgresql://{USER}@/{quote(database)}?{query}"

    def django_settings(self, database: str = "postgres") -> dict[str, str]:
        """The settings specific to this server in an entry of Django's DATABASES."""
        return {"NAME": database, "USER": USER, "HOST": str(self.home), "PORT": str(PORT)}

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        import psycopg  # noqa: PLC0415 (an extra; the server itself runs without)
        from psycopg import sql  # noqa: PLC0415

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def _open_home(self) -> None:
        if self._home is not None:
            return
        # Not below the working directory: the server's user may not be able to enter it.
        folder = short_folder() if self._owner.may_enter(Path(short_folder())) else SHORT
        self._home = Path(tempfile.mkdtemp(prefix="joblot-pg-", dir=folder))
        self._owner.take(self._home)
        atexit.register(self.close)

    def _find_programs(self) -> Programs:
        if self._programs is None:
            self._programs = find_programs(self._owner, self.home)
        return self._programs

    def _init_data(self) -> None:
        if (self.data_dir / "PG_VERSION").exists():
            return
        self.data_dir.mkdir(private.FOLDER, parents=True, exist_ok=True)
        self._owner.take(self.data_dir)
        command = [self._find_programs().initdb, "-D", str(self.data_dir), "-U", USER]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        command += [] if self._durable else ["--no-sync"]
        try:
            run_as(self._owner, command, self.home)
        except subprocess.CalledProcessError as error:
            raise Unavailable(
                f"initdb could not fill {self.data_dir}: expected an empty folder that the"
                f" server's user can enter. Its output:\n{error.output}"
            ) from error

    def _launch(self) -> None:
        command = [self._find_programs().postgres, "-D", str(self.data_dir)]
        command += ["-c", f"unix_socket_directories={self.home}"]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.home / "server.log").open("ab") as log:
            self._process = self._spawn(command, log)
        how = STOP_SIGNAL[self._closing_mode].name.removeprefix("SIG")
        arguments = [str(self._process.pid), how, str(self.home), str(STOP_SECONDS_MAX)]
        self._watchdog = subprocess.Popen(
            ["sh", "-c", WATCHDOG, "joblot-pg-watchdog", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start it in its own session, so that Ctrl-C stops the tests and not the server."""
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            command,
            cwd=self.home,
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self._owner.popen_options(),
        )
        return process

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._is_ready():
            if not self.running:
                raise Unavailable(f"PostgreSQL exited during startup. Its log:\n{self.log}")
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"PostgreSQL was not ready after {START_SECONDS_MAX} s. Its log:\n{self.log}"
                )
            time.sleep(POLL_SECONDS)

    def _is_ready(self) -> bool:
        """The server writes its state to the last line of its pid file."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        ours = self._process is not None and lines[:1] == [str(self._process.pid)]
        return ours and lines[-1].strip() == "ready"

    def _dismiss_watchdog(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is None:
            return
        watchdog.kill()
        watchdog.wait()
        if watchdog.stdin is not None:
            watchdog.stdin.close()
