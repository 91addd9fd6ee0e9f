"""Expired leases, as lines of the jobs' logs: one for all leases of a worker in a round.

The lines are written after the expiries were committed. A process that dies in between leaves
none; the items' attempts, which count towards their budgets, are part of the transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from joblot.ledger.rows.log import log
from joblot.log_context import lease_name
from joblot.shown import counted

SOURCE = "sweep"
_WORKERS_MAX = 20  # of a job in one round, each with a line of its own
_ITEMS_SHOWN = 10


@dataclass(slots=True)
class Expired:
    """A lease that has expired: how many items went back to the queue, and which were lost."""

    job_id: int
    worker: str
    token: str
    returned: int = 0
    lost: list[int] = field(default_factory=list)


def log_expiries(expired: Iterable[Expired], cause: str) -> None:
    """Log expiries of any jobs. Never fails."""
    by_job: dict[int, dict[str, list[Expired]]] = defaultdict(lambda: defaultdict(list))
    for one in expired:
        by_job[one.job_id][one.worker].append(one)
    for job_id, by_worker in by_job.items():
        shown = list(by_worker.items())
        for worker, leases in shown[:_WORKERS_MAX]:
            _log(
                job_id,
                f"of worker {worker}" if worker else "of a worker without a name",
                leases,
                cause,
            )
        if rest := [one for _, leases in shown[_WORKERS_MAX:] for one in leases]:
            _log(job_id, f"of {counted(len(shown) - _WORKERS_MAX, 'other worker')}", rest, cause)


def _log(job_id: int, whose: str, leases: Sequence[Expired], cause: str) -> None:
    returned, lost = sum(one.returned for one in leases), [n for one in leases for n in one.lost]
    what = counted(len(leases), "lease")
    text = f"{what} {whose} expired: {counted(returned, 'item')} went back to the queue"
    if lost:
        names = ", ".join(map(str, sorted(lost)[:_ITEMS_SHOWN]))
        more = ", …" if len(lost) > _ITEMS_SHOWN else ""
        text += f", {counted(len(lost), 'item')} lost ({names}{more})"
    one = leases[0]
    log(
        job_id,
        f"{text}; {cause}",
        level="error" if lost else "warning",
        number=lost[0] if len(lost) == 1 else None,
        source=SOURCE,
        worker=one.worker,
        lease=lease_name(one.token) if len(leases) == 1 else "",
    )
