"""The worker of a request: the protocol names none, so a token and an address identify it."""

from __future__ import annotations

from django.http import HttpRequest

from joblot.contrib.antenna.ahead import held_ahead
from joblot.contrib.antenna.limits import antenna_limits
from joblot.contrib.antenna.offers import others_wait
from joblot.contrib.antenna.turnover import turnover
from joblot.identity.caller import Caller
from joblot.ledger.rows import workers

_ADDRESS_CHARS_MAX = 100


def worker_of(request: HttpRequest, caller: Caller) -> str:
    """The worker's name on its leases; records that it was seen."""
    address = request.headers.get("X-Forwarded-For") or request.META.get("REMOTE_ADDR") or "unknown"
    known = "".join(char for char in address if char.isprintable())[:_ADDRESS_CHARS_MAX]
    worker = f"antenna-{caller.owner}@{known}"
    workers.seen(caller.owner, worker)
    return worker


def room(caller: Caller, worker: str, job: int, wanted: int = 1) -> int:
    """How many items of the job this worker may take now, if it wants `wanted`.

    It may be ahead of its results by `ahead_items`, plus as many as it did in `ahead_seconds`. So a
    slow worker holds few items, a fast one is not slowed down, and workers that can't be
    distinguished share what they do together. While other jobs wait, it gets only `ahead_items`, so
    that it soon asks for the next job.
    """
    base, seconds = antenna_limits().ahead_items, antenna_limits().ahead_seconds
    left = base - held_ahead(job, worker, seconds)
    if left < wanted and not others_wait(job, caller.pipelines, caller.projects):
        left += turnover(worker, job)
    return left
