"""joblot keeps the count of big jobs right.

The verbs, in Python. They are loaded when they are first used, so that importing joblot, or its
worker, does not import Django.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joblot.errors import PermanentError
    from joblot.ledger.claims import claim
    from joblot.ledger.hooks import on_event, on_late, on_result
    from joblot.ledger.leases import release, renew
    from joblot.ledger.lifecycle import cancel, retry
    from joblot.ledger.progress import progress
    from joblot.ledger.settle import report
    from joblot.ledger.submit import submit

__all__ = [
    "PermanentError",
    "cancel",
    "claim",
    "on_event",
    "on_late",
    "on_result",
    "progress",
    "release",
    "renew",
    "report",
    "retry",
    "submit",
]

_HOMES = {
    "PermanentError": "joblot.errors",
    "cancel": "joblot.ledger.lifecycle",
    "claim": "joblot.ledger.claims",
    "on_event": "joblot.ledger.hooks",
    "on_late": "joblot.ledger.hooks",
    "on_result": "joblot.ledger.hooks",
    "progress": "joblot.ledger.progress",
    "release": "joblot.ledger.leases",
    "renew": "joblot.ledger.leases",
    "report": "joblot.ledger.settle",
    "retry": "joblot.ledger.lifecycle",
    "submit": "joblot.ledger.submit",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'joblot' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
