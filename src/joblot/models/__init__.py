"""The tables. Only `joblot.ledger` writes those of jobs; any code may read them.

Hot tables have no foreign-key constraints: checking one would share-lock the job's row, and no
result may wait for another.
"""

from joblot.models.access import NO_OWNER, PipelineAsked, Token, WorkerInstance, WorkerMinute
from joblot.models.history import Deferral, Delivery, Event, Log, SweepFailure
from joblot.models.job import Job, JobQuerySet, Stage
from joblot.models.queue import (
    LIVE,
    LIVE_BY_TIME,
    MAY_SETTLE,
    Item,
    ItemRange,
    Lease,
    PipelineLimit,
    Rate,
)
from joblot.models.record import Attempt, Metric, Outcome, Sample, StoredOutput, Tally, Uncounted
from joblot.models.webhook import Webhook, WebhookDelivery

__all__ = [
    "LIVE",
    "LIVE_BY_TIME",
    "MAY_SETTLE",
    "NO_OWNER",
    "Attempt",
    "Deferral",
    "Delivery",
    "Event",
    "Item",
    "ItemRange",
    "Job",
    "JobQuerySet",
    "Lease",
    "Log",
    "Metric",
    "Outcome",
    "PipelineAsked",
    "PipelineLimit",
    "Rate",
    "Sample",
    "Stage",
    "StoredOutput",
    "SweepFailure",
    "Tally",
    "Token",
    "Uncounted",
    "Webhook",
    "WebhookDelivery",
    "WorkerInstance",
    "WorkerMinute",
]
