"""The worker processes of `joblot run`, and what becomes of them.

A worker that dies is noticed by its parent at once; whoever supervises ends its leases and starts
another. The processes are in sessions of their own, so Ctrl-C is the supervisor's to answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from joblot.cli import alive
from joblot.cli.worker_process import FROZEN_EXIT, Order
from joblot.errors import InvalidInput, Unavailable


@dataclass(frozen=True, slots=True)
class Died:
    """A worker process has ended; `asked` if it was told to."""

    name: str
    how: str
    asked: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """A worker process is ready; or `error` says why it never will be."""

    name: str
    error: str | None = None


@dataclass(slots=True)
class _Process:
    name: str
    popen: subprocess.Popen[str]
    asked: bool = False


@dataclass(slots=True)
class Pool:
    """`size` worker processes; what happens to them is told to `tell`, from other threads."""

    order: Order
    size: int
    cwd: str
    tell: Callable[[Died | Answered], None]
    job: int | None = None
    _processes: dict[str, _Process] = field(default_factory=dict)

    def start(self) -> None:
        for _ in range(self.size):
            self.start_one()

    def start_one(self) -> None:
        """Start a worker; it works as soon as a job is assigned. Raises Unavailable."""
        name = alive.new_name()
        ours, theirs = os.pipe()
        try:
            with alive.held(name) as lock:
                process = _Process(name, self._popen(lock, theirs))
        except OSError as error:
            os.close(ours)
            raise Unavailable(f"a worker process can't be started: {error}") from error
        finally:
            os.close(theirs)
        self._processes[name] = process
        threading.Thread(target=self._listen, args=(name, ours), daemon=True).start()
        threading.Thread(target=self._wait, args=(process,), daemon=True).start()
        self._send(process, replace(self.order, name=name, answers=theirs).as_line())
        if self.job is not None:
            self._send(process, _job_line(self.job))

    def _popen(self, lock: int, answers: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "joblot.cli.worker_process"],
            cwd=self.cwd,
            stdin=subprocess.PIPE,
            stdout=2,  # what the function prints; standard output is for --out
            pass_fds=(lock, answers),
            start_new_session=True,
            text=True,
            bufsize=1,
        )

    def assign(self, job: int) -> None:
        self.job = job
        for process in self._processes.values():
            self._send(process, _job_line(job))

    def forget(self, name: str) -> None:
        """The process has ended, and its leases have too."""
        process = self._processes.pop(name)
        if process.popen.stdin is not None:
            with contextlib.suppress(OSError):
                process.popen.stdin.close()
        alive.forget(name)

    @property
    def names(self) -> list[str]:
        """The workers that were not forgotten yet."""
        return list(self._processes)

    def drain(self) -> None:
        """Let every worker finish its current call, report, and end."""
        for process in self._processes.values():
            process.asked = True
            if process.popen.stdin is not None:
                with contextlib.suppress(OSError):
                    process.popen.stdin.close()

    def kill(self) -> None:
        """End every worker now, whatever it is doing."""
        for process in self._processes.values():
            process.asked = True
            process.popen.kill()

    def _send(self, process: _Process, line: str) -> None:
        """A worker that is dead already is told of by `_wait`."""
        assert process.popen.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            process.popen.stdin.write(line)

    def _listen(self, name: str, answers: int) -> None:
        with os.fdopen(answers) as lines:
            for line in lines:
                answer: dict[str, Any] = json.loads(line)
                self.tell(Answered(name, answer.get("error")))

    def _wait(self, process: _Process) -> None:
        code = process.popen.wait()
        self.tell(Died(process.name, how_it_ended(code), process.asked))


def how_it_ended(code: int) -> str:
    """The exit code of a process, in words."""
    if code == FROZEN_EXIT:
        return "frozen: no progress for too long"
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def require_ready(answer: Died | Answered) -> None:
    """Raise InvalidInput if the function can't be used, or its import ended the interpreter."""
    if isinstance(answer, Answered) and answer.error is not None:
        raise InvalidInput(answer.error)
    if isinstance(answer, Died):
        raise InvalidInput(f"function: importing its module ended the worker ({answer.how})")


def _job_line(job: int) -> str:
    return json.dumps({"job": job}) + "\n"
