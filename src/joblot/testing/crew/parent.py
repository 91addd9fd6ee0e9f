"""The parent's side of its child processes: start them together, inject faults, end them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Any, Self

from joblot.errors import Unavailable
from joblot.worker.supervisor import Answered, Died, Supervisor
from joblot.worker.watch import Watch

END_SECONDS_MAX = 60


class Child:
    """One child process: it runs `module.main(task, parent)`. A task has `name` and `setup`.

    Task and messages are JSON objects without the key `done`, which the supervisor reserves.
    """

    def __init__(self, module: str, task: dict[str, Any]) -> None:
        self.name: str = task["name"]
        self._words: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._code = 0
        self._supervisor = Supervisor("joblot.testing.crew.child", self._note, same_path=True)
        order = {"module": module, "task": task}
        self._process = self._supervisor.start(order, watch=Watch(), name=self.name)

    def _note(self, happened: Answered | Died) -> None:
        if isinstance(happened, Answered):
            self._words.put(dict(happened.answer))
        else:
            self._code = happened.code
            self._supervisor.forget(happened.process)
            self._words.put(None)
            self._ended.set()

    @property
    def pid(self) -> int:
        return self._process.popen.pid

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def send(self, **word: Any) -> None:
        """Send a message to a child that waits for it; it is lost if the child is gone."""
        self._supervisor.say(self._process, word)

    def receive(self) -> dict[str, Any] | None:
        """Return the child's next message; None if it has ended."""
        word = self._words.get()
        if word is None:
            self._words.put(None)
        return word

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end."""
        self._process.kill()
        self._ended.wait()

    def hang_up(self) -> None:
        self._supervisor.drain()

    def wait(self) -> int:
        """Return the exit code; kill a child that does not end."""
        if not self._ended.wait(END_SECONDS_MAX):
            self.kill()
        return self._code


class Crew:
    """Children that begin together and end with the block, also after an error in it."""

    def __init__(self, module: str, tasks: Sequence[dict[str, Any]]) -> None:
        self.module = module
        self.children: list[Child] = []
        try:
            for task in tasks:
                self.children.append(Child(module, task))
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.kill()
        self.end()

    def begin(self, **word: Any) -> None:
        """Wait until all are ready, then send all the same message. Raises Unavailable."""
        for one in self.children:
            if one.receive() is None:
                raise Unavailable(f"{one.name} ended before it began, with {one.wait()}")
        for one in self.children:
            one.send(**word)

    def replace(self, child: Child, task: dict[str, Any], **word: Any) -> Child:
        """Replace a child that has ended; raises Unavailable if the new one does not begin."""
        new = Child(self.module, task)
        self.children[self.children.index(child)] = new
        if new.receive() is None:
            raise Unavailable(f"{new.name} ended before it began, with {new.wait()}")
        new.send(**word)
        return new

    def kill(self) -> None:
        for one in self.children:
            one.kill()

    def end(self) -> dict[str, int]:
        """Hang up, and wait until they finish what they are doing; returns exit codes by name."""
        for one in self.children:
            one.hang_up()
        return {one.name: one.wait() for one in self.children}
