"""joblot's own worker. It imports neither Django nor the ledger, so it runs anywhere.

The HTTP parts are imported on first use: they take a third of the startup time of a process that
does not need them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from joblot.worker.client import Client
from joblot.worker.current import lease
from joblot.worker.function import Output, batched, each, load
from joblot.worker.handlers import Handler, handler, work
from joblot.worker.loop import Worker
from joblot.worker.settings import WorkerSettings

if TYPE_CHECKING:
    from joblot.worker.http import HttpClient
    from joblot.worker.serving import run

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

_HOMES = {"HttpClient": "joblot.worker.http", "run": "joblot.worker.serving"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
