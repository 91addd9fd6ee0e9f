"""joblot's own worker. It imports neither Django nor the ledger, so it runs anywhere."""

from joblot.worker.client import Client
from joblot.worker.current import lease
from joblot.worker.function import Output, batched, each, load
from joblot.worker.handlers import Handler, handler, work
from joblot.worker.http import HttpClient
from joblot.worker.loop import Worker
from joblot.worker.serving import run
from joblot.worker.settings import WorkerSettings

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
