"""The parent's side of its child processes: start them together, let them suffer, end them."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import forkserver
from typing import Any, Self

from joblot.errors import Unavailable
from joblot.testing.crew import child
from joblot.testing.sockets import short_folder

END_SECONDS_MAX = 60

CONTEXT = multiprocessing.get_context("forkserver")


def prepare(*modules: str) -> None:
    """Begin to import these, in the process that children will be forked from; returns at once.

    Importing may take seconds: one process does it once, and the children are its forks.

    That process has no ear for Ctrl-C, which is for the parent alone, and so its forks have none.
    """
    CONTEXT.set_forkserver_preload(list(modules))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder = tempfile.tempdir
    try:
        tempfile.tempdir = short_folder()  # multiprocessing keeps its socket there from now on
        forkserver.ensure_running()
    finally:
        tempfile.tempdir = folder
        signal.signal(signal.SIGINT, before)


class Child:
    """One child process: it runs `module.main(task, parent)`. A task has `name` and `setup`."""

    def __init__(self, module: str, task: dict[str, Any]) -> None:
        self.name: str = task["name"]
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(
            target=child.main, args=[module, task, theirs], name=self.name, daemon=True
        )
        self._process.start()
        theirs.close()  # so that the pipe ends when the child does

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def ended(self) -> bool:
        return not self._process.is_alive()

    def tell(self, **word: Any) -> None:
        """Say something to a child that waits for it; one that is gone does not hear it."""
        with suppress(OSError):
            self._pipe.send(word)

    def hear(self) -> dict[str, Any] | None:
        """What the child says next; None if it has ended."""
        try:
            word: dict[str, Any] = self._pipe.recv()
        except (EOFError, OSError):
            return None
        return word

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.join()

    def hang_up(self) -> None:
        self._pipe.close()

    def wait(self) -> int:
        """The exit code; a child that does not end is killed."""
        self._process.join(END_SECONDS_MAX)
        if self._process.exitcode is None:
            self.kill()
        assert self._process.exitcode is not None
        return self._process.exitcode


class Crew:
    """Children that begin together and end with the block, whatever happens in it."""

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
        """Wait until all are ready, then give all the same word. Raises Unavailable."""
        for one in self.children:
            if one.hear() is None:
                raise Unavailable(f"{one.name} ended before it began, with {one.wait()}")
        for one in self.children:
            one.tell(**word)

    def replace(self, child: Child, task: dict[str, Any], **word: Any) -> Child:
        """Start another in place of one that has ended; raises Unavailable if it does not begin."""
        new = Child(self.module, task)
        self.children[self.children.index(child)] = new
        if new.hear() is None:
            raise Unavailable(f"{new.name} ended before it began, with {new.wait()}")
        new.tell(**word)
        return new

    def kill(self) -> None:
        for one in self.children:
            one.kill()

    def end(self) -> dict[str, int]:
        """Hang up, and wait for them to finish what they are doing; their exit codes by name."""
        for one in self.children:
            one.hang_up()
        return {one.name: one.wait() for one in self.children}
