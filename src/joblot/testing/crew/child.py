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
    """The parent, as its child knows it. It speaks only when it is waited for."""

    def __init__(self, supervised: Supervised) -> None:
        self._supervised = supervised

    def tell(self, **word: Any) -> None:
        """Say something; a parent that is gone does not hear it."""
        self._supervised.answer(**word)

    def wait(self) -> dict[str, Any] | None:
        """What the parent says next; None if it has hung up."""
        return self._supervised.order()

    def hung_up(self, seconds: float = 0.0) -> bool:
        """True if the parent has hung up; waits so long for it."""
        return self._supervised.orders_ended(seconds)


def main() -> None:
    """Run the module's main with the task, once Django is set up as the task's `setup` says."""
    supervised = Supervised.begin()
    order = supervised.order()
    if order is None or supervised.orders_ended():
        return  # the database's folder is gone, too, and is not to be made again
    task = order["task"]
    standalone.setup(**task["setup"])
    import_module(order["module"]).main(task, Parent(supervised))


if __name__ == "__main__":
    main()
