"""joblot's own worker. It imports neither Django nor the ledger, so it runs anywhere.

The HTTP parts are imported on first use: they take a third of the startup time of a process that
does not need them.
"""

from typing import TYPE_CHECKING

from joblot.lazy import lazily
from joblot.worker.client import Client
from joblot.worker.current import lease
from joblot.worker.function import Output, batched, each, load
from joblot.worker.handlers import Handler, handler, work
from joblot.worker.loop import Worker
from joblot.worker.settings import WorkerSettings

if TYPE_CHECKING:
    from joblot.worker.http import HttpClient
    from joblot.worker.serving import run
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot.worker.http": ["HttpClient"],
            "joblot.worker.serving": ["run"],
        },
    )

__all__ = [
    "Client",
    "Handler",
    "HttpClient",
    "Output",
    "Worker",
    "WorkerSettings",
    "batched",
    "each",
    "handler",
    "lease",
    "load",
    "run",
    "work",
]
