"""`joblot serve` as a process."""

from __future__ import annotations

import os
import re
import signal
import threading
from types import TracebackType
from typing import Any, Self

import httpx

from tests.cli.conftest import Joblot
from tests.proc import children, command
from tests.server.raw import AUTHORIZED, write_token

URL = re.compile(r"http://127\.0\.0\.1:(\d+)")
START_SECONDS_MAX = 60
EXIT_SECONDS_MAX = 60


class Serving:
    """A server process that runs inside the block; several can start together.

    `said` is its output.
    """

    def __init__(self, joblot: Joblot, *options: str, token: bool = True) -> None:
        """Use the given `token`, or let the server create one."""
        self.joblot = joblot
        self._has_token = token
        self.said: list[str] = []
        self._options = options
        self._told = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._http: httpx.Client | None = None

    def __enter__(self) -> Self:
        if self._has_token:
            write_token(self.joblot.folder / "data" / "joblot")
        self.process = self.joblot.start("serve", "--port", "0", *self._options)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hang_up()
        if self.process.poll() is None:
            self.kill()
        self.process.wait()
        self._reader.join(EXIT_SECONDS_MAX)

    @property
    def url(self) -> str:
        """Its address, once bound: connections are then served, or wait until it is up."""
        assert self._told.wait(START_SECONDS_MAX), "the server does not start"
        found = URL.search("".join(self.said))
        assert found, f"expected a URL, got {self.said}"
        return found[0]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def http(self) -> httpx.Client:
        if self._http is None:
            self._http = httpx.Client(
                base_url=f"{self.url}/api/v1/",
                headers=AUTHORIZED,
                timeout=START_SECONDS_MAX,
                verify=False,  # no TLS is used, and loading certificates is slow
                trust_env=False,
            )
        return self._http

    def hang_up(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def post(self, path: str, body: Any = None, *, expect: int = 200) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def health(self, seconds_max: float = START_SECONDS_MAX) -> httpx.Response:
        return httpx.get(f"{self.url}/healthz", timeout=seconds_max, trust_env=False)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and its child processes, like a power cut."""
        for child in children(self.process.pid):
            os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def exit_code(self) -> int:
        return self.process.wait(EXIT_SECONDS_MAX)

    def workers(self) -> list[int]:
        """The serving processes, if there are several."""
        return [pid for pid in children(self.process.pid) if "spawn_main" in command(pid)]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if URL.search(line):
                self._told.set()
        self._told.set()
