"""What an ASGI server is given: `uvicorn --factory joblot.server.asgi:application`.

Django finds its settings, and joblot its database, in the environment.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from joblot.standalone import setup

if TYPE_CHECKING:
    from joblot.server.process import Process

THREADS = "JOBLOT_SERVER_THREADS"
THREADS_DEFAULT = 16


def application() -> Process:
    """The application of this process."""
    setup(served=True)
    from joblot.server.process import Process  # noqa: PLC0415 (Django has to be set up first)

    return Process(int(os.environ.get(THREADS, THREADS_DEFAULT)))
