"""A child process, from the inside.

The child and its parent exchange messages. When the parent hangs up, or dies, the child finishes
what it is doing and ends.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from joblot import standalone
from joblot.worker.supervised import Supervised


class Parent:
    """The parent, as seen by its child. The child must wait for each message."""

    def __init__(self, supervised: Supervised) -> None:
        self._supervised = supervised

    def send(self, **word: Any) -> None:
        """Send a message; it is lost if the parent is gone."""
        self._supervised.answer(**word)

    def wait(self) -> dict[str, Any] | None:
        """Return the parent's next message; None if it has hung up."""
        return self._supervised.order()

    def hung_up(self, seconds: float = 0.0) -> bool:
        """True if the parent has hung up; waits up to `seconds` for that."""
        return self._supervised.orders_ended(seconds)


def main() -> None:
    """Set up Django as in the task's `setup`, then run the module's main with the task."""
    supervised = Supervised.begin()
    order = supervised.order()
    if order is None or supervised.orders_ended():
        return  # the database's folder is gone too, and must not be created again
    task = order["task"]
    standalone.setup(**task["setup"])
    import_module(order["module"]).main(task, Parent(supervised))


if __name__ == "__main__":
    main()
