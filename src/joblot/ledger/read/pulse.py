"""Whether the sweep keeps up, judged by what is overdue, whichever process sweeps."""

from __future__ import annotations

import time

from django.db.models import Exists, OuterRef, Q

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.transactions import alias, one_snapshot, repeated
from joblot.ledger.read.overdue_leases import overdue_leases
from joblot.ledger.read.undelivered import stuck
from joblot.ledger.read.workers import database_now
from joblot.ledger.rows.sweep_failures import Step, put_off
from joblot.models import Event, Job
from joblot.states import JobStatus

SWEEP = "check that `joblot serve` or `joblot sweep --forever` runs, and what it logs"

# Threads: one number, replaced by one assignment.
_swept_at: float | None = None


def beat() -> None:
    """Record that the sweep of this process has completed a round."""
    global _swept_at  # noqa: PLW0603 (of the process)
    _swept_at = time.monotonic()


def rest() -> None:
    """Record that this process no longer sweeps and is not expected to."""
    global _swept_at  # noqa: PLW0603 (of the process)
    _swept_at = None


@repeated
def require_database() -> None:
    """Raises Unavailable if the database does not answer, NotMigrated if tables are missing."""
    Job.ledger.using(alias()).filter(pk=0).exists()


@repeated
@one_snapshot()
def overdue() -> list[str]:
    """What the sweep should have done by now, as messages; empty if it keeps up.

    Ignores jobs for which a step fails: the sweep keeps up with the others, and `why` and `doctor`
    report these. Raises Unavailable if the database does not answer.
    """
    since = clock.after(-limits().sweep_overdue_seconds)
    late = overdue_leases()
    events = Event.ledger.using(alias()).filter(
        dispatched_at__isnull=True, tries=0, next_try_at__lt=since
    )
    events = events.exclude(Exists(stuck().filter(job_id=OuterRef("job_id"))))
    cancels = Job.ledger.using(alias()).filter(
        Q(cancel_closes_at__lt=since), status=JobStatus.CANCELING
    )
    cancels = cancels.exclude(put_off(Step.CANCEL, "pk"))
    leases = "" if late is None else late.text(database_now())
    found = {
        leases: late is not None,
        "events wait to be fanned out": events.exists(),
        "cancels wait to be ended": cancels.exists(),
        "this process has not swept": _is_silent(),
    }
    seconds = f"for more than {limits().sweep_overdue_seconds:g} s"
    return [f"{what}, {seconds}; {SWEEP}" for what, so in found.items() if so]


def seconds_since_sweep() -> float | None:
    """Seconds since this process completed a round; None if it does not sweep."""
    return None if _swept_at is None else time.monotonic() - _swept_at


def _is_silent() -> bool:
    """True if this process has swept before but not recently."""
    since = seconds_since_sweep()
    return since is not None and since > limits().sweep_overdue_seconds
