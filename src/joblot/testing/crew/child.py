"""A child process, from the inside.

The child and its parent talk over a pipe. When the parent closes its end, or dies, the child
finishes what it is doing and ends.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from joblot import standalone


class Parent:
    """The parent, as its child knows it. It speaks only when it is waited for."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def tell(self, **word: Any) -> None:
        """Say something; a parent that is gone does not hear it."""
        with suppress(OSError):
            self._pipe.send(word)

    def wait(self) -> dict[str, Any] | None:
        """What the parent says next; None if it has hung up."""
        try:
            word: dict[str, Any] = self._pipe.recv()
        except (EOFError, ConnectionError):
            return None
        return word

    def hung_up(self, seconds: float = 0.0) -> bool:
        """True if the parent has hung up; waits so long for it."""
        return self._pipe.poll(seconds)


def main(module: str, task: dict[str, Any], pipe: Connection) -> None:
    """Run `module`'s main with the task, once Django is set up as the task's `setup` says."""
    parent = Parent(pipe)
    if parent.hung_up():
        return  # the database's folder is gone, too, and is not to be made again
    standalone.setup(**task["setup"])
    import_module(module).main(task, parent)
