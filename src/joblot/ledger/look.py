"""The look: read a job anew after a commit, decide purely what is due, write it by compare-and-set.

Why it is exact: settling changes no shared row, so any number of reports may commit at once, but
whoever commits last sees the sum of all in a new snapshot. The write names the version that was
read with the counts, so nothing that was decided before a retry, a pause or another look can be
written after it. Who loses looks again, until nothing is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from joblot import clock
from joblot.config import limits
from joblot.errors import Unavailable
from joblot.ledger.jobs import advance, record_event
from joblot.ledger.statements import fetch, json_value
from joblot.ledger.transactions import alias, connection, durable, repeated
from joblot.models import Event
from joblot.states import AMENDABLE, FINALIZABLE, JobStatus, verdict


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


@dataclass(frozen=True, slots=True)
class Seen:
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
    drained: bool  # a cancel has waited for all claims, and every lease is closed
    stages: tuple[Counts, ...]
    names: tuple[str, ...]
    alert_failed_items: int | None = None
    alerted: bool = False  # in this run; read only once there is something to alert of

    @property
    def failing(self) -> bool:
        """True while a run goes on in which more items failed or were lost than is put up with."""
        if self.alert_failed_items is None or self.status not in FINALIZABLE:
            return False
        return sum(stage.failed + stage.lost for stage in self.stages) > self.alert_failed_items

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
    """What is to be written: the event's kind, and the status and revision that come with it."""

    kind: str
    status: JobStatus
    revision: int


def decide(seen: Seen) -> Due | None:
    """What is due for a job that looks like this; None when nothing is.

    An alert comes before the end, so that the last failure of a run is told of as well.
    """
    if seen.failing and not seen.alerted:
        return Due("failing", seen.status, seen.revision)
    if seen.status in FINALIZABLE and seen.all_settled:
        return Due("finished", seen.verdict, 1)
    if seen.status is JobStatus.CANCELING and seen.drained:
        return Due("finished", JobStatus.REVOKED, 1)
    if seen.status in AMENDABLE and seen.recorded != seen.counts:
        return Due("amended", seen.verdict, seen.revision + 1)
    return None


def look(job_id: int) -> JobStatus | None:
    """Write whatever is due for the job, until nothing is.

    Returns the status it was left in, or None if there is no such job.
    """
    for _ in range(limits().look_rounds_max):
        seen = read(job_id)
        due = decide(seen) if seen else None
        if seen is None or due is None:
            return seen.status if seen else None
        write(seen, due)
    raise Unavailable(f"job {job_id}: {limits().look_rounds_max} looks were overtaken; look again")


@repeated
def read(job_id: int) -> Seen | None:
    """The job and the sums of its tallies, in one statement and so in one snapshot.

    Whether a failing run was told of is asked after it: a later run has another version.
    """
    rows = fetch(connection(), "look", job=job_id)
    if not rows:
        return None
    seen = seen_of(job_id, rows)
    return replace(seen, alerted=_is_alerted(seen)) if seen.failing else seen


def seen_of(job_id: int, rows: Sequence[Sequence[Any]], *, alerted: bool = False) -> Seen:
    """What the first columns of `look.sql` say; a row for each stage."""
    version, run, revision, status, sealed, total, recorded, policy, drained = rows[0][:9]
    given = json_value(policy)
    return Seen(
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
    )


def _is_alerted(seen: Seen) -> bool:
    told = Event.ledger.using(alias()).filter(job_id=seen.job_id, run=seen.run, kind="failing")
    return bool(told.exists())


@repeated
def write(seen: Seen, due: Due) -> bool:
    """End or amend the run, with its counts and its event, if the version is still the one seen.

    An alert changes nothing but the version, by which of two at once only one tells of it.
    """
    changes: dict[str, Any] = {}
    if due.kind != "failing":
        changes = {
            "status": due.status.value,
            "revision": due.revision,
            "recorded": seen.counts,
        }
    if due.kind == "finished":
        changes["finished_at"] = clock.now()
    with durable():
        won = advance(seen.job_id, seen.version, **changes)
        if won:
            data = {
                "status": due.status.value,
                "total": seen.total,
                "stages": [
                    {"name": name} | counts
                    for name, counts in zip(seen.names, seen.counts, strict=True)
                ],
            }
            record_event(seen.job_id, seen.run, due.revision, due.kind, data)
    return won
