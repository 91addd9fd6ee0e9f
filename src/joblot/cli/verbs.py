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
    from joblot.ledger.claim.claim import claim
    from joblot.ledger.db.transactions import alias, location, migration_lock
    from joblot.ledger.job.lifecycle import cancel, delete, pause, resume, retry, start
    from joblot.ledger.lease import expire, release, renew
    from joblot.ledger.maintain.repair import repair
    from joblot.ledger.maintain.sweep import sweep, sweep_until
    from joblot.ledger.read.audit import audit, audit_all
    from joblot.ledger.read.health import health
    from joblot.ledger.read.history import logs
    from joblot.ledger.read.in_flight import in_flight
    from joblot.ledger.read.items import items, outputs
    from joblot.ledger.read.progress import jobs, progress
    from joblot.ledger.read.why import why
    from joblot.ledger.report.report import report
    from joblot.ledger.rows.job import read_job
    from joblot.ledger.rows.outputs import storage
    from joblot.ledger.submit.submit import add_items, seal, submit
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
    "read.audit": ["audit", "audit_all"],
    "claim.claim": ["claim"],
    "read.health": ["health"],
    "read.in_flight": ["in_flight"],
    "read.items": ["items", "outputs"],
    "rows.job": ["read_job"],
    "lease": ["expire", "release", "renew"],
    "job.lifecycle": ["cancel", "delete", "pause", "resume", "retry", "start"],
    "read.history": ["logs"],
    "rows.outputs": ["storage"],
    "read.progress": ["jobs", "progress"],
    "maintain.repair": ["repair"],
    "report.report": ["report"],
    "submit.submit": ["add_items", "seal", "submit"],
    "maintain.sweep": ["sweep", "sweep_until"],
    "db.transactions": ["alias", "location", "migration_lock"],
    "read.why": ["why"],
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
