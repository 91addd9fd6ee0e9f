"""The application for an ASGI server: `uvicorn --factory joblot.server.asgi:application`.

Django finds its settings, and joblot its database, in the environment.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import sys
from typing import TYPE_CHECKING

from joblot.log_format import log_to_stderr
from joblot.standalone import setup

if TYPE_CHECKING:
    from joblot.server.process import Process

THREADS = "JOBLOT_SERVER_THREADS"
THREADS_DEFAULT = 16
SHARED_COUNTERS = "PROMETHEUS_MULTIPROC_DIR"  # as prometheus_client calls it
DEBUG = "JOBLOT_DEBUG"  # in the environment: log errors with their traceback
START_FAILED = 3  # the exit code by which uvicorn knows that a replacement would fail, too


def application() -> Process:
    """The application of this process. If that fails, one of several processes logs the error and
    exits with START_FAILED; otherwise its parent would replace it forever.
    """
    try:
        return _application()
    except Exception as error:
        if multiprocessing.parent_process() is None:
            raise
        what = f"a process can't start: {type(error).__name__}: {error}"
        logging.getLogger("joblot.server").exception(what, exc_info=bool(os.environ.get(DEBUG)))
        sys.exit(START_FAILED)


def _application() -> Process:
    setup(served=True)
    log_to_stderr("joblot serve")
    from joblot.server.process import Process  # noqa: PLC0415 (Django has to be set up first)

    process = Process(int(os.environ.get(THREADS, THREADS_DEFAULT)))
    gc.freeze()  # keeps startup objects out of garbage collection: see give_back
    return process
