"""joblot: an exact ledger for big jobs.

These are its verbs in Python. They are loaded on first use, so that importing joblot, or its
worker, does not import Django.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joblot.errors import PermanentError
    from joblot.ledger.claim.claim import claim
    from joblot.ledger.job.lifecycle import cancel, retry
    from joblot.ledger.lease import release, renew
    from joblot.ledger.read.progress import progress
    from joblot.ledger.report.hooks import on_event, on_late, on_result
    from joblot.ledger.report.report import report
    from joblot.ledger.submit.submit import submit

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
    "cancel": "joblot.ledger.job.lifecycle",
    "claim": "joblot.ledger.claim.claim",
    "on_event": "joblot.ledger.report.hooks",
    "on_late": "joblot.ledger.report.hooks",
    "on_result": "joblot.ledger.report.hooks",
    "progress": "joblot.ledger.read.progress",
    "release": "joblot.ledger.lease",
    "renew": "joblot.ledger.lease",
    "report": "joblot.ledger.report.report",
    "retry": "joblot.ledger.job.lifecycle",
    "submit": "joblot.ledger.submit.submit",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'joblot' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
