"""The functions of joblot that commands call.

They are imported when first used, because the ledger can be imported only after Django is set up,
and the command line names the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from joblot.lazy import lazily

if TYPE_CHECKING:
    from joblot import (
        add_items,
        cancel,
        causes,
        claim,
        delete,
        events,
        items,
        logs,
        outputs,
        pause,
        progress,
        release,
        renew,
        report,
        resume,
        retry,
        seal,
        start,
        submit,
        why,
    )
    from joblot.delivery.supervisor import deliver_once, remove_files_once
    from joblot.dispatch.listener import Listener, has_notifications
    from joblot.identity.tokens import any_token, issue, revoke, tokens
    from joblot.ledger.db.transactions import alias, database_files, location, migration_lock
    from joblot.ledger.job.bulk_by_filter import act_on_all, ask
    from joblot.ledger.job.edit import edit
    from joblot.ledger.read.endings import endings_among, outputs_among
    from joblot.ledger.read.in_flight import in_flight
    from joblot.ledger.read.listing import listing
    from joblot.ledger.read.results import results, results_page
    from joblot.ledger.read.summary import summary
    from joblot.ledger.read.workers import workers
    from joblot.ledger.report.printed import keep_printed
    from joblot.ledger.rows.job import read_job
    from joblot.ledger.rows.outputs import storage
    from joblot.ledger.submit.items import checked_item
    from joblot.maintenance import (
        audit,
        audit_all,
        edit_pipeline,
        expire,
        health,
        pipelines,
        prune,
        repair,
        restore_worker,
        revoke_worker,
        supervise_until,
        sweep,
        sweep_until,
    )
    from joblot.web.users import add_user, change_password, change_role, remove_user, users
    from joblot.webhooks import deliveries, end, resend, subscribe, webhooks
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot": [
                "add_items",
                "cancel",
                "causes",
                "claim",
                "delete",
                "events",
                "items",
                "logs",
                "outputs",
                "pause",
                "progress",
                "release",
                "renew",
                "report",
                "resume",
                "retry",
                "seal",
                "start",
                "submit",
                "why",
            ],
            "joblot.delivery.supervisor": ["deliver_once", "remove_files_once"],
            "joblot.dispatch.listener": ["Listener", "has_notifications"],
            "joblot.identity.tokens": ["any_token", "issue", "revoke", "tokens"],
            "joblot.ledger.read.workers": ["workers"],
            "joblot.ledger.db.transactions": [
                "alias",
                "database_files",
                "location",
                "migration_lock",
            ],
            "joblot.ledger.job.bulk_by_filter": ["act_on_all", "ask"],
            "joblot.ledger.job.edit": ["edit"],
            "joblot.ledger.read.endings": ["endings_among", "outputs_among"],
            "joblot.ledger.read.in_flight": ["in_flight"],
            "joblot.ledger.read.listing": ["listing"],
            "joblot.ledger.read.summary": ["summary"],
            "joblot.ledger.read.results": ["results", "results_page"],
            "joblot.ledger.report.printed": ["keep_printed"],
            "joblot.ledger.rows.job": ["read_job"],
            "joblot.ledger.rows.outputs": ["storage"],
            "joblot.ledger.submit.items": ["checked_item"],
            "joblot.maintenance": [
                "audit",
                "audit_all",
                "edit_pipeline",
                "expire",
                "health",
                "pipelines",
                "prune",
                "repair",
                "restore_worker",
                "revoke_worker",
                "supervise_until",
                "sweep",
                "sweep_until",
            ],
            "joblot.web.users": [
                "add_user",
                "change_password",
                "change_role",
                "remove_user",
                "users",
            ],
            "joblot.webhooks": ["deliveries", "end", "resend", "subscribe", "webhooks"],
        },
    )

__all__ = [
    "Listener",
    "act_on_all",
    "add_items",
    "add_user",
    "alias",
    "any_token",
    "ask",
    "audit",
    "audit_all",
    "cancel",
    "causes",
    "change_password",
    "change_role",
    "checked_item",
    "claim",
    "database_files",
    "delete",
    "deliver_once",
    "deliveries",
    "edit",
    "edit_pipeline",
    "end",
    "endings_among",
    "events",
    "expire",
    "has_notifications",
    "health",
    "in_flight",
    "issue",
    "items",
    "keep_printed",
    "listing",
    "location",
    "logs",
    "migration_lock",
    "outputs",
    "outputs_among",
    "pause",
    "pipelines",
    "progress",
    "prune",
    "read_job",
    "release",
    "remove_files_once",
    "remove_user",
    "renew",
    "repair",
    "report",
    "resend",
    "restore_worker",
    "results",
    "results_page",
    "resume",
    "retry",
    "revoke",
    "revoke_worker",
    "seal",
    "start",
    "storage",
    "submit",
    "subscribe",
    "summary",
    "supervise_until",
    "sweep",
    "sweep_until",
    "tokens",
    "users",
    "webhooks",
    "why",
    "workers",
]
