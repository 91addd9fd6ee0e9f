"""Prune: remove the jobs that ended long ago."""

from __future__ import annotations

import time
from datetime import timedelta

from django.db.models import Q

from joblot import clock
from joblot.ledger.db.transactions import alias, repeated
from joblot.ledger.job import removal
from joblot.models import Job


def prune(older_than: timedelta) -> int:
    """Remove every job that ended longer ago than `older_than`, with all rows; returns how many.

    A job that is retried in the meantime stays. Later results are `rejected`: unknown lease. May be
    called again after a crash: it continues where it stopped.
    """
    due = _ended_before(older_than)
    return sum(removal.begin(job_id, due) and removal.finish(job_id) for job_id in _due(due))


def prune_for(older_than: timedelta, seconds: float) -> tuple[int, bool]:
    """The same for about `seconds`; returns how many jobs are gone, and whether any is left."""
    until = time.monotonic() + seconds
    due = _ended_before(older_than)
    removed = 0
    for job_id in _due(due):
        if removal.begin(job_id, due):
            removal.go_on_with(job_id, until - time.monotonic())
            if time.monotonic() > until:
                return removed, True
            removed += removal.finish(job_id)
    return removed, False


def _ended_before(older_than: timedelta) -> Q:
    return removal.ENDED & Q(finished_at__lt=clock.now() - older_than)


@repeated
def _due(due: Q) -> list[int]:
    return list(Job.ledger.using(alias()).filter(due).order_by("pk").values_list("pk", flat=True))
