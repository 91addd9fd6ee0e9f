"""The ledger's verbs and readers that commands call.

They are loaded when first used, for the ledger can be imported only once Django is set up, and
where the database is, is said on the command line.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joblot.delivery.supervisor import deliver_once, remove_files_once, supervise_until
    from joblot.identity.tokens import any_token, issue, revoke, tokens
    from joblot.ledger.audit import audit, audit_all
    from joblot.ledger.claims import claim
    from joblot.ledger.health import health
    from joblot.ledger.history import logs
    from joblot.ledger.in_flight import in_flight
    from joblot.ledger.items import items, outputs
    from joblot.ledger.jobs import read_job
    from joblot.ledger.leases import expire, release, renew
    from joblot.ledger.lifecycle import cancel, delete, pause, resume, retry, start
    from joblot.ledger.outputs import storage
    from joblot.ledger.progress import jobs, progress
    from joblot.ledger.repair import repair
    from joblot.ledger.settle import report
    from joblot.ledger.submit import add_items, seal, submit
    from joblot.ledger.sweep import sweep, sweep_until
    from joblot.ledger.transactions import alias, location, migration_lock
    from joblot.ledger.why import why
    from joblot.webhooks.deliveries import deliveries, resend
    from joblot.webhooks.subscriptions import end, subscribe, webhooks

__all__ = [
    "add_items",
    "alias",
    "any_token",
    "audit",
    "audit_all",
    "cancel",
    "claim",
    "delete",
    "deliver_once",
    "deliveries",
    "end",
    "expire",
    "health",
    "in_flight",
    "issue",
    "items",
    "jobs",
    "location",
    "logs",
    "migration_lock",
    "outputs",
    "pause",
    "progress",
    "read_job",
    "release",
    "remove_files_once",
    "renew",
    "repair",
    "report",
    "resend",
    "resume",
    "retry",
    "revoke",
    "seal",
    "start",
    "storage",
    "submit",
    "subscribe",
    "supervise_until",
    "sweep",
    "sweep_until",
    "tokens",
    "webhooks",
    "why",
]

_HOMES = {
    "audit": ["audit", "audit_all"],
    "claims": ["claim"],
    "health": ["health"],
    "in_flight": ["in_flight"],
    "items": ["items", "outputs"],
    "jobs": ["read_job"],
    "leases": ["expire", "release", "renew"],
    "lifecycle": ["cancel", "delete", "pause", "resume", "retry", "start"],
    "history": ["logs"],
    "outputs": ["storage"],
    "progress": ["jobs", "progress"],
    "repair": ["repair"],
    "settle": ["report"],
    "submit": ["add_items", "seal", "submit"],
    "sweep": ["sweep", "sweep_until"],
    "transactions": ["alias", "location", "migration_lock"],
    "why": ["why"],
}
_HOME = {verb: f"joblot.ledger.{module}" for module, verbs in _HOMES.items() for verb in verbs}
_HOME |= dict.fromkeys(["any_token", "issue", "revoke", "tokens"], "joblot.identity.tokens")
_HOME |= dict.fromkeys(
    ["deliver_once", "remove_files_once", "supervise_until"], "joblot.delivery.supervisor"
)
_HOME |= dict.fromkeys(["deliveries", "resend"], "joblot.webhooks.deliveries")
_HOME |= dict.fromkeys(["end", "subscribe", "webhooks"], "joblot.webhooks.subscriptions")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
