"""joblot's own worker. It imports neither Django nor the ledger, so it runs anywhere.

The names are imported when they are first used: loading all of them takes a fifth of a second.
"""

from typing import TYPE_CHECKING

from joblot.lazy import lazily

if TYPE_CHECKING:
    from joblot.worker.client import Client
    from joblot.worker.current import lease, progress
    from joblot.worker.function import Output, batched, each, load
    from joblot.worker.handlers import Handler, handler, work
    from joblot.worker.http import HttpClient
    from joblot.worker.kept_output import keeping_output
    from joblot.worker.loop import Worker
    from joblot.worker.serving import run
    from joblot.worker.settings import WorkerSettings
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot.worker.client": ["Client"],
            "joblot.worker.current": ["lease", "progress"],
            "joblot.worker.function": ["Output", "batched", "each", "load"],
            "joblot.worker.handlers": ["Handler", "handler", "work"],
            "joblot.worker.http": ["HttpClient"],
            "joblot.worker.kept_output": ["keeping_output"],
            "joblot.worker.loop": ["Worker"],
            "joblot.worker.serving": ["run"],
            "joblot.worker.settings": ["WorkerSettings"],
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
    "keeping_output",
    "lease",
    "load",
    "progress",
    "run",
    "work",
]
