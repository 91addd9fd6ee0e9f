"""The worker processes of `joblot run`: each has a name, and a locked file while it is alive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from joblot.cli import alive
from joblot.cli.worker_process import RunOrder
from joblot.errors import InvalidInput, Unavailable
from joblot.worker.pulse import PulseWatch
from joblot.worker.supervisor import Answered, Died, Process, Supervisor


@dataclass(slots=True)
class Pool:
    """`size` worker processes; what happens to them is passed to `happened`, from other threads."""

    order: RunOrder
    size: int
    cwd: str
    happened: Callable[[Died | Answered], None]
    job: int | None = None
    supervisor: Supervisor = field(init=False)
    ready: set[Process] = field(default_factory=set)  # that have loaded the function
    _failed: dict[Process, InvalidInput] = field(default_factory=dict)  # that could not

    def __post_init__(self) -> None:
        self.supervisor = Supervisor("joblot.cli.worker_process", self.happened, self.cwd)

    def start(self) -> None:
        for _ in range(self.size):
            self.start_one()

    def start_one(self) -> None:
        """Start a worker; it works as soon as a job is assigned. Raises Unavailable."""
        name = alive.new_name()
        orders = [replace(self.order, name=name).as_json()]
        if self.job is not None:
            orders.append({"job": self.job})
        watch = PulseWatch(self.order.call_seconds_max)
        try:
            with alive.held(name) as lock:
                self.supervisor.start(*orders, watch=watch, name=name, descriptors=[lock])
        except OSError as error:
            raise Unavailable(f"a worker process can't be started: {error}") from error

    def assign(self, job: int) -> None:
        self.job = job
        for process in self.supervisor.processes:
            self.supervisor.say(process, {"job": job})

    @property
    def loading(self) -> bool:
        """True while a process may still load the function."""
        return any(one not in self._failed for one in self.supervisor.processes)

    def failed_to_load(self, happening: Died | Answered) -> InvalidInput | None:
        """Why this process can't use the function: its answer, or that the import ended it.

        None if it is ready, or was.
        """
        process = happening.process
        if isinstance(happening, Answered) and "ready" in happening.answer:
            self.ready.add(process)
        if process in self.ready:
            return None
        if isinstance(happening, Answered):
            why = str(happening.answer.get("error"))
        else:
            why = f"function: importing its module ended the worker ({happening.how})"
        return self._failed.setdefault(process, InvalidInput(why))

    def has_failed(self, process: Process) -> bool:
        """True if it is known already that this process can't use the function."""
        return process in self._failed

    def forget(self, died: Died) -> None:
        """Forget a process that has ended and whose leases have ended."""
        self.supervisor.forget(died.process)
        alive.forget(died.process.name)
