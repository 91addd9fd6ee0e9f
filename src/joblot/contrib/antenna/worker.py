"""Whose request this is: the protocol names no worker, so a token and an address stand for one."""

from __future__ import annotations

from django.http import HttpRequest

from joblot.contrib.antenna.ahead import held_ahead
from joblot.contrib.antenna.limits import antenna_limits
from joblot.contrib.antenna.offers import others_wait
from joblot.contrib.antenna.turnover import turnover
from joblot.identity import workers
from joblot.identity.caller import Caller

_ADDRESS_CHARS_MAX = 100


def worker_of(request: HttpRequest, caller: Caller) -> str:
    """The name that leases are granted to; it was seen just now."""
    address = request.headers.get("X-Forwarded-For") or request.META.get("REMOTE_ADDR") or "unknown"
    known = "".join(char for char in address if char.isprintable())[:_ADDRESS_CHARS_MAX]
    worker = f"antenna-{caller.owner}@{known}"
    workers.seen(caller.owner, worker)
    return worker


def room(caller: Caller, worker: str, job: int, wanted: int = 1) -> int:
    """How many items of the job this worker may take now, of so many that it wants.

    It may run ahead of its results by a little, and by as much more as it does in that time: so
    a slow one holds little, a fast one is not held up, and several that can't be told apart share
    what they do together. While other jobs wait it gets no more than the little, and so asks soon
    which job is next.
    """
    little, seconds = antenna_limits().ahead_items, antenna_limits().ahead_seconds
    left = little - held_ahead(job, worker, seconds)
    if left < wanted and not others_wait(job, caller.pipelines, caller.projects):
        left += turnover(worker, job)
    return left
