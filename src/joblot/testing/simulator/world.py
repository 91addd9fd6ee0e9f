"""The world of a simulation: the real ledger and its model, side by side, and one clock for both.

Everything that happens goes through `call`. If an answer did not arrive, the world reads from the
ledger which of the allowed states it is in, applies that to the model, and compares again.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any

from joblot.clock import set_clock
from joblot.errors import (
    JoblotError,
    KeyConflict,
    LeaseEnded,
    NotFound,
    NumberChanged,
    Unavailable,
    WrongStatus,
)
from joblot.ledger.db.transactions import alias
from joblot.ledger.read.history import events
from joblot.ledger.read.progress import progress
from joblot.models import Event as EventRow
from joblot.models import Job as JobRow
from joblot.models import Lease as LeaseRow
from joblot.models import Outcome as OutcomeRow
from joblot.states import TERMINAL, ItemState, JobStatus, LeaseState
from joblot.testing.simulator import model
from joblot.testing.simulator.hooks import Adopter
from joblot.testing.simulator.limits import Limits
from joblot.testing.simulator.model_outcomes import COUNTS, Place
from joblot.testing.simulator.model_receipts import FAILURES_MAX
from joblot.testing.simulator.rival import Rival
from joblot.testing.simulator.scene import Scene
from joblot.testing.simulator.trouble import AWAY, CALM, Killed, Kind, Trouble, injected

START = datetime(2030, 1, 1, tzinfo=UTC)
POLICY = {
    "failures_max": FAILURES_MAX,
    "expiries_max": model.EXPIRIES_MAX,
    "lease_seconds": model.LEASE,
    "retry_backoff_seconds": model.BACKOFF,
}
REFUSALS = (KeyConflict, WrongStatus, NotFound, LeaseEnded, NumberChanged)


class Violation(AssertionError):
    """The ledger violates an invariant or differs from the model."""


class Ending(Enum):
    """How a call ended for its caller."""

    ANSWERED = auto()  # with an answer or a refusal
    UNANSWERED = auto()  # without an answer: all, part or nothing of it happened
    AWAY = auto()  # the database was away: nothing happened


@dataclass(frozen=True, slots=True)
class CallResult:
    ending: Ending
    value: Any = None
    refusal: JoblotError | None = None
    dead: bool = False  # the caller's process has ended

    @property
    def answered(self) -> bool:
        return self.ending is Ending.ANSWERED

    @property
    def away(self) -> bool:
        return self.ending is Ending.AWAY


class World:
    """The jobs by their id in the ledger, and what was observed and counted so far."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.adopter = Adopter(hooked=scene.hooked)
        self.rival = Rival()
        self.now = 0  # seconds
        self.away_calls = 0  # during which the database stays away
        self.jobs: dict[int, model.Job] = {}
        self.limits = Limits(self.jobs)
        self.submitted = 0
        self.story: list[str] = []
        self.figures: Counter[str] = Counter()
        self.receipts: Counter[str] = Counter()
        self.acknowledged: set[tuple[int, int, int]] = set()  # successes: job, stage, number
        self._seen: dict[int, dict[str, Any]] = {}
        self._reopened: dict[tuple[int, int], int] = {}  # by job and run
        self._names: dict[int, str] = {}

    # The story

    def say(self, line: str) -> None:
        self.story.append(f"{self.now:>5} s  {line}")

    def name(self, job_id: int) -> str:
        """Name jobs in their order: ids differ from one run to the next."""
        return self._names.setdefault(job_id, f"job {len(self._names) + 1}")

    def require(self, holds: bool, message: str) -> None:
        if not holds:
            raise Violation(message)

    # Calling the ledger

    def at(self) -> AbstractContextManager[None]:
        return set_clock(self.moment)

    @property
    def moment(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def call(self, verb: str, /, *args: Any, trouble: Trouble = CALM, **kwargs: Any) -> CallResult:
        """Call the verb on the real ledger, under the given trouble."""
        if self.away_calls:
            self.away_calls -= 1
            trouble = AWAY
        self.figures["calls"] += 1
        self.adopter.sweeps = verb == "sweep"
        with self.at(), injected(trouble) as struck:
            try:
                value, refusal = self.scene.verbs[verb](*args, **kwargs), None
            except REFUSALS as error:
                value, refusal = None, error
            except Killed:
                return self._unanswered(trouble, dead=True)
            except Unavailable:
                if not struck.yes:
                    raise
                return self._unanswered(trouble)
        if trouble.kind is Kind.AWAY:
            raise Violation(f"{verb} was answered though the database was away")
        if trouble.kind is Kind.LOST:
            return self._unanswered(trouble)
        return CallResult(Ending.ANSWERED, value, refusal)

    def _unanswered(self, trouble: Trouble, *, dead: bool = False) -> CallResult:
        self.figures[trouble.kind.value] += 1
        self.story[-1] += f"  [{trouble}]"
        away = trouble.kind is Kind.AWAY
        return CallResult(Ending.AWAY if away else Ending.UNANSWERED, dead=dead)

    # Reading the ledger

    def seen(self, job_id: int) -> tuple[dict[str, Any], list[str]]:
        with self.at():
            kinds = [event["kind"] for event in events(job_id, limit=1_000)]
            return progress(job_id), kinds

    def row(self, job_id: int) -> Any:
        return JobRow.ledger.using(alias()).get(pk=job_id)

    def lease_row(self, token: str) -> Any:
        return LeaseRow.ledger.using(alias()).get(pk=token)

    def has_expired(self, token: str) -> bool:
        rows = LeaseRow.ledger.using(alias())
        return bool(rows.filter(pk=token, state=LeaseState.EXPIRED).exists())

    def in_flight(self, job_id: int, job: model.Job) -> bool:
        """Whether a cancel has leases to wait for; momentary, and never too low."""
        live = LeaseRow.ledger.using(alias()).filter(
            job_id=job_id, state=LeaseState.LIVE, expires_at__gte=self.moment
        )
        return bool(live.exists()) or any(job.is_live(lease) for lease in job.leases.values())

    def notice_reconciled(self, job_id: int) -> None:
        """After an unanswered call: reconciling is due, and may have happened or not."""
        job = self.jobs[job_id]
        if job.deleted or not job.is_due:
            return
        row = self.row(job_id)
        if (row.status, row.revision) != (job.status, job.revision):
            job.reconcile()

    def causes(self, job_id: int) -> dict[str, frozenset[Place]]:
        """What failed or was lost, by the cause that the ledger has recorded.

        Raises Violation if that is not what the model has given up.
        """
        rows = OutcomeRow.ledger.using(alias()).filter(job_id=job_id, error_cause__isnull=False)
        found: dict[str, set[Place]] = {}
        for row in rows:
            found.setdefault(row.error_cause, set()).add((row.stage, row.number))
        settled = self.jobs[job_id].settled.items()
        expected = {place for place, (state, _) in settled if state is not ItemState.SUCCEEDED}
        self._same(self.name(job_id), "items with a cause", set().union(*found.values()), expected)
        return {cause: frozenset(places) for cause, places in found.items()}

    def ended_before(self, seconds: int) -> list[int]:
        """The jobs that have ended by the model, and long enough ago by the ledger."""
        moment = self.moment - timedelta(seconds=seconds)
        rows = JobRow.ledger.using(alias()).filter(finished_at__lt=moment)
        ended = [job_id for job_id, job in self.jobs.items() if job.status in TERMINAL]
        return sorted(rows.filter(pk__in=ended).values_list("pk", flat=True))

    def notice_removal(self, job_id: int) -> None:
        """After an unanswered prune: find out how far it got."""
        job, row = self.jobs[job_id], JobRow.ledger.using(alias()).filter(pk=job_id).first()
        if row is None:
            job.remove()
        elif row.deleted_at is None:
            self.notice_reconciled(job_id)
            self.notice_close(job_id)
        else:
            job.begin_removal()
            job.purge(row.total)
            left = LeaseRow.ledger.using(alias()).filter(job_id=job_id)
            known = {str(token) for token in left.values_list("pk", flat=True)}
            for token, lease in job.leases.items():
                lease.removed = token not in known

    def notice_close(self, job_id: int) -> None:
        """Some leases may be closed, by a removal that died before its mark."""
        closed = LeaseRow.ledger.using(alias()).filter(job_id=job_id, state=LeaseState.CLOSED)
        for token in closed.values_list("pk", flat=True):
            self.jobs[job_id].leases[str(token)].state = LeaseState.CLOSED

    # Checked after every step

    def compare(self, job_id: int) -> None:
        """Assert that the ledger equals the model, and that nothing final was undone."""
        job = self.jobs[job_id]
        if job.deleted:
            return
        known, kinds = self.seen(job_id)
        name = self.name(job_id)
        if known["status"] == JobStatus.REVOKED.value and not self.in_flight(job_id, job):
            job.end_cancel(self.now, in_flight=False)  # the last report may end it, or the sweep
        self._same(name, "status, run, revision", self._place(known), self._place_of(job))
        counted = [{n: stage[n] for n in COUNTS} for stage in known["stages"]]
        self._same(name, "counts", counted, job.counts())
        sums = [stage["metrics"].get("bytes", 0) for stage in known["stages"]]
        self._same(name, "metrics", sums, job.settled.bytes)
        self._same(name, "late results", known["finished_after_cancel"], len(job.late))
        self._same(name, "events", kinds, job.events)
        self._never_back(job_id, known)

    @staticmethod
    def _place(known: dict[str, Any]) -> tuple[Any, ...]:
        return known["status"], known["run"], known["revision"]

    @staticmethod
    def _place_of(job: model.Job) -> tuple[Any, ...]:
        return job.status.value, job.run, job.revision

    def _same(self, name: str, what: str, found: Any, expected: Any) -> None:
        if found != expected:
            raise Violation(f"{name}: {what}: expected {expected}, found {found}")

    def _never_back(self, job_id: int, known: dict[str, Any]) -> None:
        """Without the model: in a run, only reopening decreases settled counts; an end stays."""
        before = self._seen.pop(job_id, None)
        if self.jobs[job_id].reopening is not None:
            return  # its items are still being reopened, so the run's counts have not begun
        self._seen[job_id] = known
        if before is None or before["run"] != known["run"]:
            return
        name = self.name(job_id)
        reopened: int | None = None
        for was, now in zip(before["stages"], known["stages"], strict=True):
            fewer = [sum(s[n] for n in COUNTS) for s in (was, now)]
            if fewer[1] < fewer[0]:
                if reopened is None:
                    reopened = self._newly_reopened(job_id, known["run"])
                if fewer[0] - fewer[1] > reopened:
                    raise Violation(f"{name}: settled in {now['name']} went back: {fewer}")
        ended = before["status"] in TERMINAL
        better = known["revision"] > before["revision"] and known["status"] in _AMENDED
        if ended and known["status"] != before["status"] and not better:
            raise Violation(f"{name}: {before['status']} became {known['status']} in the same run")

    def _newly_reopened(self, job_id: int, run: int) -> int:
        """How many items were reopened within the run since this was last asked, by its events."""
        events = EventRow.ledger.using(alias()).filter(job_id=job_id, run=run, kind="reopened")
        total = sum(int(data["items"]) for data in events.values_list("data", flat=True))
        before = self._reopened.get((job_id, run), 0)
        self._reopened[job_id, run] = total
        return total - before


_AMENDED = (JobStatus.SUCCESS, JobStatus.COMPLETED_WITH_ERRORS)
