"""What an ASGI server is given: `uvicorn --factory joblot.server.asgi:application`.

Django finds its settings, and joblot its database, in the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from joblot.standalone import setup

if TYPE_CHECKING:
    from joblot.server.process import Process

THREADS = "JOBLOT_SERVER_THREADS"

_process: Process | None = None


def application() -> Process:
    """The application of this process."""
    global _process  # noqa: PLW0603 (of the process)
    setup(served=True)
    from joblot.server.process import Process  # noqa: PLC0415 (Django has to be set up first)

    _process = Process()
    return _process


def stop() -> None:
    """Let go what waits: this process is about to end."""
    if _process is not None:
        _process.stop()
