"""Child processes, supervised from outside: started, listened to, ended when they hang.

All of joblot's child processes are started here: the workers of `joblot run` and `joblot worker`,
those of event handlers, and the testing crew. What happens to them is passed to `happened`; whether
and when a dead one is replaced is the caller's policy. Each process has its own session, so only
the supervisor receives Ctrl-C.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joblot.errors import Unavailable
from joblot.worker.ending import FROZEN_EXIT
from joblot.worker.output_tail import OutputTail
from joblot.worker.relay import pass_on
from joblot.worker.watch import Watch

WATCH_SECONDS = 0.2
LEAVE_SECONDS_MAX = 10.0  # for a finished process; a thread of its function may never end
LAST_WORDS_SECONDS_MAX = 1.0  # to read the last output; a child may keep the pipes open


@dataclass(slots=True, eq=False)
class Process:
    """A child process. `asked`: it was asked to end; `leaves`: it ends by itself, to be replaced,
    and why; `done`: the exit code it reported.
    """

    name: str
    popen: subprocess.Popen[str]
    watch: Watch
    output: OutputTail
    began: float = field(default_factory=time.monotonic)
    asked: bool = False
    leaves: str = ""
    hung: bool = False  # and was killed for that
    done: int | None = None
    done_at: float = 0.0

    @property
    def last_output(self) -> str:
        """The last output during its last item, or of the whole process if it keeps no output."""
        return self.output.last_output().decode(errors="replace").strip("\n")

    def kill(self) -> None:
        """Kill its process group: it may be waiting for a child."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Answered:
    process: Process
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Died:
    process: Process
    code: int

    @property
    def frozen(self) -> bool:
        return self.process.hung or self.code == FROZEN_EXIT

    @property
    def how(self) -> str:
        if self.frozen:
            return "frozen: no progress for too long"
        return f"exit code {self.code}" if self.code >= 0 else f"signal {-self.code}"


@dataclass(slots=True)
class Supervisor:
    """Starts `python -m module`, and kills a process whose watch says that it hangs.

    `happened` is called from other threads. A process runs in `cwd`, but no file there replaces one
    of the modules that joblot imports: the process adds this folder to its search path itself,
    later. With `same_path`, it has this process's search path.
    """

    module: str
    happened: Callable[[Answered | Died], None]
    cwd: str | None = None
    same_path: bool = False
    processes: list[Process] = field(default_factory=list)

    def start(
        self,
        *orders: Mapping[str, Any],
        watch: Watch,
        name: str = "",
        descriptors: Sequence[int] = (),
    ) -> Process:
        """Start one and give it its orders. It inherits `descriptors`. Raises Unavailable."""
        try:
            with _piped() as (answers, answer), _piped() as (output, written), _tail() as tail:
                shared = {"answers": answer, "output": output, "tail": tail, **watch.shared()}
                popen = self._popen(written, [*shared.values(), *descriptors])
                ours = os.dup(answers)
                process = Process(name, popen, watch, OutputTail(tail, os.dup(output)))
        except OSError as error:
            watch.close()
            raise Unavailable(f"a process can't be started: {error}") from error
        self.processes.append(process)
        for order in (shared, *orders):
            self.say(process, order)
        self._listen(process, ours)
        return process

    def _popen(self, output: int, descriptors: Sequence[int]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", self.module],
            cwd=self.cwd,
            env=os.environ | {"PYTHONPATH": _path()} if self.same_path else None,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=descriptors,
            start_new_session=True,
            text=True,
            bufsize=1,
        )

    def say(self, process: Process, order: Mapping[str, Any]) -> None:
        """Send an order; does nothing if the process is dead."""
        assert process.popen.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            process.popen.stdin.write(json.dumps(order) + "\n")

    def drain(self) -> None:
        """Let every process finish its current call, report, and end."""
        for process in self.processes:
            process.asked = True
            _close(process)

    def kill(self) -> None:
        """End every process now, whatever it is doing."""
        for process in self.processes:
            process.asked = True
            process.kill()

    def forget(self, process: Process) -> None:
        """Release the resources of a process that has ended."""
        self.processes.remove(process)
        _close(process)
        process.watch.close()

    def _listen(self, process: Process, answers: int) -> None:
        readers = [
            threading.Thread(target=pass_on, args=(process.output,), daemon=True),
            threading.Thread(target=self._read_answers, args=(process, answers), daemon=True),
        ]
        for reader in readers:
            reader.start()
        threading.Thread(target=self._wait, args=(process, readers), daemon=True).start()

    def _read_answers(self, process: Process, answers: int) -> None:
        with os.fdopen(answers) as lines:
            for line in lines:
                answer = json.loads(line)
                if "done" in answer:
                    process.done_at, process.done = time.monotonic(), answer["done"]
                elif "leaves" in answer:
                    process.leaves = answer["leaves"]
                else:
                    process.watch.note_answer(answer)
                    self.happened(Answered(process, answer))

    def _wait(self, process: Process, readers: Sequence[threading.Thread]) -> None:
        """Wait until it ends and its output is read; meanwhile, watch its progress."""
        while (code := self._ended(process)) is None:
            if not process.hung and self._is_stuck(process):
                process.kill()
        for reader in readers:
            reader.join(LAST_WORDS_SECONDS_MAX)
        self.happened(Died(process, code if process.done is None else process.done))

    def _ended(self, process: Process) -> int | None:
        try:
            return process.popen.wait(WATCH_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def _is_stuck(self, process: Process) -> bool:
        if process.done is not None:
            return time.monotonic() - process.done_at > LEAVE_SECONDS_MAX
        process.hung = process.watch.hangs()
        return process.hung


def _close(process: Process) -> None:
    """End its orders, so that it drains."""
    if process.popen.stdin is not None:
        with contextlib.suppress(OSError):
            process.popen.stdin.close()


def _path() -> str:
    """This process's search path for modules."""
    return os.pathsep.join(one or os.getcwd() for one in sys.path)  # noqa: PTH109 (as text)


@contextlib.contextmanager
def _piped() -> Iterator[tuple[int, int]]:
    """The read and write ends of a pipe, open within the block."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@contextlib.contextmanager
def _tail() -> Iterator[int]:
    """The descriptor of an OutputTail's memory, open within the block."""
    memory = OutputTail.memory()
    try:
        yield memory
    finally:
        os.close(memory)
