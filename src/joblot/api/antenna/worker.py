"""Whose request this is: the protocol names no worker, so a token and an address stand for one."""

from __future__ import annotations

from django.http import HttpRequest

from joblot.config import limits
from joblot.identity import workers
from joblot.identity.caller import Caller
from joblot.ledger.in_flight import in_flight

_ADDRESS_CHARS_MAX = 100


def worker_of(request: HttpRequest, caller: Caller) -> str:
    """The name that leases are granted to; it was seen just now."""
    address = request.headers.get("X-Forwarded-For") or request.META.get("REMOTE_ADDR") or "unknown"
    known = "".join(char for char in address if char.isprintable())[:_ADDRESS_CHARS_MAX]
    worker = f"antenna-{caller.owner}@{known}"
    workers.seen(caller.owner, worker)
    return worker


def room(job: int, worker: str) -> int:
    """How many more items of the job this worker may hold."""
    held = sum(lease["items"] for lease in in_flight(job=job, worker=worker))
    return limits().antenna_in_flight_items_max - int(held)
