"""One command of a tool in a folder of its own: its time, processor time and memory; and kills."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.beside.tools import HERE
from bench.peers.cpu import ended_children_seconds, tree

LOOK_SECONDS = 0.05
QUIET_SECONDS_MAX = 15.0  # without a call, before a command is said to hang
ORPHANS_SECONDS_MAX = 10.0


@dataclass(slots=True)
class Trial:
    """A folder with `work.py` and the items."""

    folder: Path
    items: int
    peak_bytes: int = 0
    began: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    _cpu: float = field(default_factory=ended_children_seconds)

    def prepare(self) -> None:
        shutil.copy(HERE / "work.py", self.folder)
        lines = "".join(f"{n}\n" for n in range(self.items))
        (self.folder / "items").write_text(lines)

    def start(self, command: list[str]) -> None:
        environment = os.environ | {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        self.began, self._cpu = time.monotonic(), ended_children_seconds()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log
            )

    def wait(self, until: Callable[[], bool] = lambda: False, *, memory: bool = False) -> str:
        """How it ended: "ended", "failed", "hangs"; or "reached" once `until` is true."""
        assert self.process is not None
        calls, since = -1, time.monotonic()
        while self.process.poll() is None:
            if until():
                return "reached"
            if memory:
                self.peak_bytes = max(self.peak_bytes, sum(map(_bytes_of, tree(self.process.pid))))
            if (now := self.size()) != calls:
                calls, since = now, time.monotonic()
            if time.monotonic() - since > QUIET_SECONDS_MAX:
                self.end()
                return "hangs"
            time.sleep(LOOK_SECONDS)
        self.end()
        return "failed" if self.process.returncode else "ended"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def cpu_seconds(self) -> float:
        """Of the command and all that it has started, once they have ended."""
        return ended_children_seconds() - self._cpu

    def size(self) -> int:
        """Of the file of calls, in bytes: it grows with each."""
        with suppress(FileNotFoundError):
            return (self.folder / "calls").stat().st_size
        return 0

    def calls(self) -> Counter[int]:
        """How often each item was called. The last line may be half written."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter(int(line.split()[0]) for line in lines if len(line.split()) == 2)

    def outputs(self) -> int:
        """How many items have an output in the file that the tool has written."""
        path = self.folder / "out"
        return len(set(path.read_text().splitlines())) if path.exists() else 0

    def kill_main(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_worker(self, *, of_item: bool) -> None:
        """The process that has made the last call and is in the next one now.

        With `of_item`, each item has a process of its own: the newest one.
        """
        assert self.process is not None
        ends = time.monotonic() + QUIET_SECONDS_MAX
        while time.monotonic() < ends:
            last = (self.folder / "calls").read_text().splitlines()[-1].split()[1]
            own = _children(self.process.pid)
            with suppress(ProcessLookupError, IndexError):
                os.kill(own[-1] if of_item else int(last), signal.SIGKILL)
                return
        raise RuntimeError("expected a worker that lives, got only such as have ended")

    def end(self) -> None:
        """Wait for what is left of the command, then kill it: its files must be at rest."""
        assert self.process is not None
        ends = time.monotonic() + ORPHANS_SECONDS_MAX
        if self.process.poll() is None:
            ends = 0.0
        while left := [pid for pid in tree(os.getpid()) if pid != os.getpid()]:
            if time.monotonic() > ends:
                for pid in left:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            self.process.poll()
            time.sleep(LOOK_SECONDS / 5)


def _children(pid: int) -> list[int]:
    """The oldest first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sorted(map(int, children))


def adopt_orphans() -> None:
    """Processes whose parent was killed become children of this one, so that they are counted."""
    import ctypes

    pr_set_child_subreaper = 36
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def _bytes_of(pid: int) -> int:
    """Its share of the memory: pages that several processes share count once in all."""
    with suppress(OSError, StopIteration):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return 0
