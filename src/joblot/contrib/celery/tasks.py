"""The task of the beat entry, found by Celery's `autodiscover_tasks`."""

from __future__ import annotations

from celery import Task, shared_task

from joblot.contrib.celery import hints
from joblot.contrib.celery.item_task import ItemTask
from joblot.contrib.celery.schedule import SWEEP
from joblot.ledger.claim.availability import next_job
from joblot.ledger.maintain import sweep as sweeping

HINT_SECONDS = 30.0  # how long a message waits that is sent by each sweep while there is work


@shared_task(name=SWEEP, bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
def sweep(self: Task) -> None:
    """Sweep, and send a message for each task that has an item waiting.

    It makes up for every message that was lost: by the broker, with a worker, or by a revocation.
    """
    sweeping.sweep()
    for name, task in list(self.app.tasks.items()):
        if isinstance(task, ItemTask) and next_job(hints.pipeline_of(name)).job is not None:
            hints.send(task, expires=HINT_SECONDS)
