"""What is due for a job: its row and counts are read in one snapshot, the decision is pure.

Readers show what is decided here; only `reconcile` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from joblot.ledger.db.statements import fetch, json_value
from joblot.ledger.db.transactions import alias, connection, repeated
from joblot.ledger.rows.author import NOBODY, Author
from joblot.ledger.rows.halt import BEGINNINGS, Halting, HaltLimit, Tried
from joblot.models import Event
from joblot.states import AMENDABLE, CLAIMABLE, FINALIZABLE, JobStatus, verdict

SEEN_COLUMNS = 15  # of due.sql, the first ones: those that `seen_of` reads


@dataclass(frozen=True, slots=True)
class Counts:
    """The settled items of a stage, by outcome."""

    succeeded: int = 0
    failed: int = 0
    lost: int = 0
    skipped: int = 0

    @property
    def settled(self) -> int:
        return self.succeeded + self.failed + self.lost + self.skipped

    @property
    def tried(self) -> Tried:
        return Tried(self.failed + self.lost, self.succeeded + self.failed + self.lost)


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A job and its tallies, at one instant."""

    job_id: int
    version: int
    run: int
    revision: int
    status: JobStatus
    sealed: bool
    total: int
    recorded: list[dict[str, int]] | None
    failure_threshold: float
    drained: bool  # a cancel has waited for all claims, and no lease can settle an open item
    stages: tuple[Counts, ...]
    names: tuple[str, ...]
    alert_failed_items: int | None = None
    alerted: bool = False  # in this run; read only if there is reason for an alert
    halting: Halting | None = None
    canceled_by: Author = NOBODY  # the author of the cancel in progress
    tried_before: tuple[Tried, ...] = ()  # where the count begins; read only if a limit is exceeded

    @property
    def failing(self) -> bool:
        """True while a run has more failed and lost items than `alert_failed_items`."""
        if self.alert_failed_items is None or self.status not in FINALIZABLE:
            return False
        return sum(stage.failed + stage.lost for stage in self.stages) > self.alert_failed_items

    @property
    def halt(self) -> HaltLimit | None:
        """The limit that halts the job, unless it is halted already."""
        if self.halting is None or self.status not in self._haltable:
            return None
        tried = [stage.tried for stage in self.stages]
        return self.halting.exceeded_since(tried, self.tried_before)

    @property
    def _haltable(self) -> frozenset[JobStatus]:
        cancels = self.halting is not None and self.halting.cancels
        return FINALIZABLE if cancels else CLAIMABLE

    @property
    def counts(self) -> list[dict[str, int]]:
        return [asdict(stage) for stage in self.stages]

    @property
    def all_settled(self) -> bool:
        return self.sealed and all(stage.settled == self.total for stage in self.stages)

    @property
    def verdict(self) -> JobStatus:
        return verdict(self.total, self.stages[-1].succeeded, self.failure_threshold)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be written: the event's kind, with its status and revision."""

    kind: str
    status: JobStatus
    revision: int
    limit: HaltLimit | None = None  # that is exceeded, of a halt


def decide(found: JobSnapshot) -> Due | None:
    """What is due for a job in this state; None if nothing is.

    An alert comes before the end of the run, so that it is also sent for the last failure. A halt
    comes after it: there is nothing left to halt.
    """
    if found.failing and not found.alerted:
        return Due("failing", found.status, found.revision)
    if found.status in FINALIZABLE and found.all_settled:
        return Due("finished", found.verdict, 1)
    if (limit := found.halt) is not None and found.halting is not None:
        halted = JobStatus.CANCELING if found.halting.cancels else JobStatus.PAUSED
        return Due("halted", halted, found.revision, limit)
    if found.status is JobStatus.CANCELING and found.drained:
        return Due("finished", JobStatus.REVOKED, 1)
    if found.status in AMENDABLE and found.recorded != found.counts:
        return Due("amended", found.verdict, found.revision + 1)
    return None


@repeated
def read_snapshot(job_id: int) -> JobSnapshot | None:
    """The job and the sums of its tallies, in one statement and so in one snapshot.

    Whether a failing run was alerted, and where the count for a halt begins, is read afterwards: a
    later run, and a resume, have another version.
    """
    rows = fetch(connection(), "rows/due", job=job_id)
    if not rows:
        return None
    found = seen_of(job_id, rows)
    if found.status is JobStatus.CANCELING:
        actor, reason = rows[0][SEEN_COLUMNS : SEEN_COLUMNS + 2]
        found = replace(found, canceled_by=Author(actor or "", reason or ""))
    if found.failing:
        found = replace(found, alerted=_is_alerted(found))
    if found.halt is not None:
        found = replace(found, tried_before=_tried_before(found))
    return found


def seen_of(job_id: int, rows: Sequence[Sequence[Any]], *, alerted: bool = False) -> JobSnapshot:
    """The snapshot from rows that begin with the first columns of `due.sql`, one per stage."""
    version, run, revision, status, sealed, total, recorded, policy, drained = rows[0][:9]
    given = json_value(policy)
    return JobSnapshot(
        job_id=job_id,
        version=version,
        run=run,
        revision=revision,
        status=JobStatus(status),
        sealed=bool(sealed),
        total=total,
        recorded=json_value(recorded),
        failure_threshold=given["failure_threshold"],
        drained=bool(drained),
        stages=tuple(Counts(*(int(count) for count in row[11:15])) for row in rows),
        names=tuple(row[10] for row in rows),
        alert_failed_items=given.get("alert_failed_items"),
        alerted=alerted,
        halting=Halting.of(given),
    )


def _is_alerted(found: JobSnapshot) -> bool:
    alerts = Event.ledger.using(alias()).filter(job_id=found.job_id, run=found.run, kind="failing")
    return bool(alerts.exists())


def _tried_before(found: JobSnapshot) -> tuple[Tried, ...]:
    """What had been tried when the run was last resumed, or began after an earlier one."""
    begun = Event.ledger.using(alias()).filter(
        job_id=found.job_id, run=found.run, kind__in=BEGINNINGS
    )
    data = begun.order_by("-pk").values_list("data", flat=True).first()
    return tuple(Tried(*stage) for stage in (data or {}).get("tried", ()))
