"""What an ASGI server is given: `uvicorn --factory joblot.server.asgi:application`.

Django finds its settings, and joblot its database, in the environment.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import sys
from typing import TYPE_CHECKING

from joblot.standalone import setup

if TYPE_CHECKING:
    from joblot.server.process import Process

THREADS = "JOBLOT_SERVER_THREADS"
THREADS_DEFAULT = 16
DEBUG = "JOBLOT_DEBUG"  # in the environment: errors with their traceback
START_FAILED = 3  # the exit code by which uvicorn knows that another one would fail too


def application() -> Process:
    """The application of this process. One of several processes ends if it can't be made, with
    what is wrong in its log: whoever started it would start another in its place, for ever.
    """
    try:
        return _application()
    except Exception as error:
        if multiprocessing.parent_process() is None:
            raise
        told = f"a process can't start: {type(error).__name__}: {error}"
        logging.getLogger("joblot.server").exception(told, exc_info=bool(os.environ.get(DEBUG)))
        sys.exit(START_FAILED)


def _application() -> Process:
    setup(served=True)
    from joblot.server.process import Process  # noqa: PLC0415 (Django has to be set up first)

    process = Process(int(os.environ.get(THREADS, THREADS_DEFAULT)))
    gc.freeze()  # what is there from the start need not be looked through again: see give_back
    return process
