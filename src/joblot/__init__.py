"""The everyday functions of joblot, which keeps exact counts of large jobs.

The other public namespaces are `joblot.errors`, `joblot.states`, `joblot.maintenance`,
`joblot.worker`, `joblot.webhooks`, `joblot.standalone` and `joblot.testing`. The names here are
imported when they are first used, so importing joblot, or its worker, does not import Django.
"""

from typing import TYPE_CHECKING

from joblot.lazy import lazily

if TYPE_CHECKING:
    from joblot.asynchronous import (
        aadd_items,
        acancel,
        acauses,
        aclaim,
        adelete,
        aedit,
        aevents,
        aitems,
        ajobs,
        alog,
        alogs,
        anext_job,
        aoutputs,
        apause,
        aprogress,
        arelease,
        arenew,
        arenew_many,
        areport,
        aresume,
        aretry,
        aseal,
        astart,
        asubmit,
        awhy,
    )
    from joblot.cli.mapped import Mapped
    from joblot.cli.mapping import map  # noqa: A004 (as `joblot.map`)
    from joblot.errors import PermanentError, RetryableError
    from joblot.ledger.claim.after_report import report
    from joblot.ledger.claim.availability import Next, NextJob, next_job
    from joblot.ledger.claim.claim import claim
    from joblot.ledger.job.edit import edit
    from joblot.ledger.job.lifecycle import cancel, delete, pause, resume, start
    from joblot.ledger.job.retry import retry
    from joblot.ledger.lease import release, renew, renew_many
    from joblot.ledger.read.causes import causes
    from joblot.ledger.read.history import events
    from joblot.ledger.read.items import items, outputs
    from joblot.ledger.read.log_lines import logs
    from joblot.ledger.read.map import job_map
    from joblot.ledger.read.progress import jobs, progress
    from joblot.ledger.read.why import why
    from joblot.ledger.report.hooks import JobNotice, SettledResult, on_event, on_late, on_result
    from joblot.ledger.rows.log import log
    from joblot.ledger.submit.submit import add_items, seal, submit
    from joblot.log_context import job_log
    from joblot.log_writing.handler import JobLogHandler
    from joblot.models import Job
    from joblot.wire import (
        Claim,
        ClaimedItem,
        GrantedLease,
        ItemReceipt,
        NextClaim,
        Reported,
        Result,
        failure,
        success,
    )
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot.cli.mapping": ["map"],
            "joblot.cli.mapped": ["Mapped"],
            "joblot.ledger.submit.submit": ["submit", "add_items", "seal"],
            "joblot.ledger.job.lifecycle": [
                "start",
                "pause",
                "resume",
                "cancel",
                "delete",
            ],
            "joblot.ledger.job.retry": ["retry"],
            "joblot.ledger.job.edit": ["edit"],
            "joblot.ledger.read.progress": ["progress", "jobs"],
            "joblot.ledger.read.items": ["items", "outputs"],
            "joblot.ledger.read.causes": ["causes"],
            "joblot.ledger.read.history": ["events"],
            "joblot.ledger.read.log_lines": ["logs"],
            "joblot.ledger.rows.log": ["log"],
            "joblot.ledger.read.why": ["why"],
            "joblot.ledger.read.map": ["job_map"],
            "joblot.ledger.claim.claim": ["claim"],
            "joblot.ledger.claim.availability": ["next_job", "Next", "NextJob"],
            "joblot.ledger.lease": ["renew", "renew_many", "release"],
            "joblot.ledger.claim.after_report": ["report"],
            "joblot.ledger.report.hooks": [
                "on_result",
                "on_late",
                "on_event",
                "SettledResult",
                "JobNotice",
            ],
            "joblot.wire": [
                "success",
                "failure",
                "Claim",
                "GrantedLease",
                "ClaimedItem",
                "Result",
                "ItemReceipt",
                "NextClaim",
                "Reported",
            ],
            "joblot.errors": ["PermanentError", "RetryableError"],
            "joblot.log_writing.handler": ["JobLogHandler"],
            "joblot.log_context": ["job_log"],
            "joblot.models": ["Job"],
            "joblot.asynchronous": [
                "aadd_items",
                "acancel",
                "acauses",
                "aclaim",
                "adelete",
                "aedit",
                "aevents",
                "aitems",
                "ajobs",
                "alog",
                "alogs",
                "anext_job",
                "aoutputs",
                "apause",
                "aprogress",
                "arelease",
                "arenew",
                "arenew_many",
                "areport",
                "aresume",
                "aretry",
                "aseal",
                "astart",
                "asubmit",
                "awhy",
            ],
        },
    )

__all__ = [
    "Claim",
    "ClaimedItem",
    "GrantedLease",
    "ItemReceipt",
    "Job",
    "JobLogHandler",
    "JobNotice",
    "Mapped",
    "Next",
    "NextClaim",
    "NextJob",
    "PermanentError",
    "Reported",
    "Result",
    "RetryableError",
    "SettledResult",
    "aadd_items",
    "acancel",
    "acauses",
    "aclaim",
    "add_items",
    "adelete",
    "aedit",
    "aevents",
    "aitems",
    "ajobs",
    "alog",
    "alogs",
    "anext_job",
    "aoutputs",
    "apause",
    "aprogress",
    "arelease",
    "arenew",
    "arenew_many",
    "areport",
    "aresume",
    "aretry",
    "aseal",
    "astart",
    "asubmit",
    "awhy",
    "cancel",
    "causes",
    "claim",
    "delete",
    "edit",
    "events",
    "failure",
    "items",
    "job_log",
    "job_map",
    "jobs",
    "log",
    "logs",
    "map",
    "next_job",
    "on_event",
    "on_late",
    "on_result",
    "outputs",
    "pause",
    "progress",
    "release",
    "renew",
    "renew_many",
    "report",
    "resume",
    "retry",
    "seal",
    "start",
    "submit",
    "success",
    "why",
]
