"""joblot's own worker. It imports neither Django nor the ledger, so it runs anywhere."""

from joblot.worker.client import Client
from joblot.worker.function import Output, batched, each, load
from joblot.worker.loop import Worker, WorkerSettings

__all__ = ["Client", "Output", "Worker", "WorkerSettings", "batched", "each", "load"]
