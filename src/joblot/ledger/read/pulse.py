"""Whether the sweep keeps up, judged by what it should have done, whichever process does it."""

from __future__ import annotations

import time

from django.db.models import Exists, OuterRef, Q

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.snapshot import one_snapshot
from joblot.ledger.db.transactions import alias, repeated
from joblot.ledger.read.undelivered import stuck
from joblot.ledger.rows.sweep_failures import Step, put_off
from joblot.models import LIVE, Event, Job, Lease
from joblot.states import JobStatus

# Threads: one number, replaced by one assignment.
_swept_at: float | None = None


def beat() -> None:
    """The sweep of this process has come through a round."""
    global _swept_at  # noqa: PLW0603 (of the process)
    _swept_at = time.monotonic()


def rest() -> None:
    """This process sweeps no more, and is not expected to."""
    global _swept_at  # noqa: PLW0603 (of the process)
    _swept_at = None


@repeated
def require_database() -> None:
    """Raises Unavailable if the database does not answer, NotMigrated if its tables lack."""
    Job.ledger.using(alias()).filter(pk=0).exists()


@repeated
@one_snapshot()
def overdue() -> list[str]:
    """What the sweep should have done by now, in words; empty if it keeps up.

    Passes over jobs for which a step fails: the sweep keeps up with the others, and `why` and
    `doctor` name these. Raises Unavailable if the database does not answer.
    """
    since = clock.after(-limits().sweep_overdue_seconds)
    live = Lease.ledger.using(alias()).filter(LIVE).order_by("expires_at")
    live = live.exclude(put_off(Step.EXPIRE, "job_id"))
    events = Event.ledger.using(alias()).filter(
        dispatched_at__isnull=True, tries=0, next_try_at__lt=since
    )
    events = events.exclude(Exists(stuck().filter(job_id=OuterRef("job_id"))))
    cancels = Job.ledger.using(alias()).filter(
        Q(cancel_closes_at__lt=since), status=JobStatus.CANCELING
    )
    cancels = cancels.exclude(put_off(Step.CANCEL, "pk"))
    found = {
        "leases that have expired are still live": bool(live.filter(expires_at__lt=since)[:1]),
        "events wait to be fanned out": events.exists(),
        "cancels wait to be ended": cancels.exists(),
        "this process has not swept": _is_silent(),
    }
    seconds = f"for more than {limits().sweep_overdue_seconds:g} s"
    return [f"{what} {seconds}" for what, so in found.items() if so]


def seconds_since_sweep() -> float | None:
    """Since this process came through a round; None if it does not sweep."""
    return None if _swept_at is None else time.monotonic() - _swept_at


def _is_silent() -> bool:
    """Only a process that has swept once is expected to go on."""
    since = seconds_since_sweep()
    return since is not None and since > limits().sweep_overdue_seconds
