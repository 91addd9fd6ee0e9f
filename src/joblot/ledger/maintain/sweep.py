"""The sweep: does what is due, and finishes what a process that died left undone.

Every part may run in several processes at once and at any time; none waits for a report, runs an
adopter's code or calls a storage. A step that fails for one job is put off and the other jobs
proceed; only a failure of the database ends the round.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joblot.config import limits
from joblot.errors import Unavailable
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection, repeated
from joblot.ledger.job.lifecycle import end_cancel
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.removal import go_on as go_on_removing
from joblot.ledger.job.removal import go_on_with
from joblot.ledger.job.retry import go_on_reopening
from joblot.ledger.lease import expire_overdue, expire_overdue_of
from joblot.ledger.maintain.fold import fold
from joblot.ledger.maintain.gone_workers import remove_gone_workers, remove_old_figures
from joblot.ledger.maintain.merge import merge_ranges, merge_ranges_of
from joblot.ledger.maintain.outbox import fan_out
from joblot.ledger.maintain.revocation import release_revoked
from joblot.ledger.maintain.sample import sample, sample_of
from joblot.ledger.maintain.waits import shorten_waits, shorten_waits_of
from joblot.ledger.read.pulse import beat, rest
from joblot.ledger.rows import worker_figures
from joblot.ledger.rows.deferrals import forget_old
from joblot.ledger.rows.outputs import mark_unreferenced
from joblot.ledger.rows.sweep_failures import Step, each, put_off, try_again
from joblot.models import Job
from joblot.states import TERMINAL, JobStatus

logger = logging.getLogger("joblot.ledger")


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did."""

    leases_expired: int
    jobs_reconciled: int
    events_fanned_out: int


def sweep(*, thorough: bool = True) -> Swept:
    """One round: expire leases, continue cancels and retries, reconcile, merge, sample, fan out,
    remove.

    Steps that failed for a job in an earlier round come last. If `thorough`, first brings forward
    what was scheduled too late while the clock was ahead, and removes the workers that are gone.
    Raises Unavailable.
    """
    if thorough:
        shorten_waits()
    expired = expire_overdue()
    release_revoked()
    each(Step.CANCEL, _jobs(Step.CANCEL, status=JobStatus.CANCELING), end_cancel)
    reopening = _jobs(Step.REOPEN, status=JobStatus.CREATED, reopening__isnull=False)
    each(Step.REOPEN, reopening, go_on_reopening)
    due = _due()
    each(Step.FINISH, due, _finish)
    merge_ranges()
    sample()
    fanned_out = fan_out()
    go_on_removing(limits().removal_seconds_per_sweep)
    mark_unreferenced(limits().removal_seconds_per_sweep)
    forget_old()
    if thorough:
        remove_gone_workers()
        remove_old_figures()
    try_again(_AGAIN)
    return Swept(expired, len(due), fanned_out)


def _finish(job_id: int) -> None:
    if reconcile(job_id) in TERMINAL:
        fold(job_id)


def _go_on_removing(job_id: int) -> None:
    go_on_with(job_id, limits().removal_seconds_per_sweep)


_AGAIN: Mapping[Step, Callable[[int], object]] = {
    Step.WAITS: shorten_waits_of,
    Step.EXPIRE: expire_overdue_of,
    Step.CANCEL: end_cancel,
    Step.REOPEN: go_on_reopening,
    Step.FINISH: _finish,
    Step.MERGE: merge_ranges_of,
    Step.REMOVE: _go_on_removing,
    Step.SAMPLE: sample_of,
}


def sweep_until(stop: threading.Event) -> None:
    """Sweep every `sweep_seconds` until `stop` is set; a failure is logged and retried."""
    checked_at = float("-inf")
    while not stop.is_set():
        began = time.monotonic()
        is_due = began - checked_at >= limits().clock_check_seconds
        try:
            sweep(thorough=is_due)
            worker_figures.write()
            checked_at = began if is_due else checked_at
            beat()
        except Unavailable as error:
            logger.warning("sweep: %s", error)
        except Exception:
            logger.exception("sweep failed; it continues in the next round")
        stop.wait(max(0.0, limits().sweep_seconds - (time.monotonic() - began)))
    worker_figures.write(older_than=0.0)
    rest()
    connection().close()


@repeated
def _jobs(step: Step, **where: Any) -> list[int]:
    jobs = Job.ledger.using(alias()).filter(deleted_at__isnull=True, **where)
    jobs = jobs.exclude(put_off(step, "pk"))
    return list(jobs.values_list("pk", flat=True)[: limits().sweep_jobs_batch])


@repeated
def _due() -> list[int]:
    rows = fetch(connection(), "rows/jobs_due", jobs=limits().sweep_jobs_batch)
    return [job_id for (job_id,) in rows]
