"""A job in memory: a small pure model that predicts receipts, counts and status.

It uses the receipt table and the verdict (`joblot.states`), and none of the ledger's code. The
ledger chooses the items of a claim; the model checks that it may grant them. The cost of a step
does not depend on the job's size, so that large jobs can be modeled too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from joblot.states import (
    AMENDABLE,
    CLAIMABLE,
    FINALIZABLE,
    HOLDING,
    RETRYABLE,
    TERMINAL,
    ItemState,
    LeaseState,
    Receipt,
    verdict,
)
from joblot.states import JobStatus as S
from joblot.testing.simulator.model_lease import ModelLease, Waiting
from joblot.testing.simulator.model_outcomes import Outcomes, Place
from joblot.testing.simulator.model_receipts import Given, judge

EXPIRIES_MAX = 2
BACKOFF, LEASE, GRACE = 4, 10, 6  # seconds
SLACK = 5  # seconds, of limits().clock_slack_seconds


@dataclass
class Job:
    stages: int
    status: S = S.CREATED
    run: int = 1
    revision: int = 0
    total: int = 0
    sealed: bool = False
    deleted: bool = False  # its removal has begun
    reopening: bool | None = None  # during a retry: whether it will start the run
    chosen: frozenset[Place] | None = None  # what a retry reopens; None: all that did not succeed
    closes_at: int = 0
    hooked: frozenset[int] = frozenset()  # the stages whose results a hook saves
    asked: tuple[object, ...] = ()  # with its key, apart from the items
    settled: Outcomes = field(init=False)
    waiting: dict[Place, Waiting] = field(default_factory=dict)
    leases: dict[str, ModelLease] = field(default_factory=dict)
    late: set[tuple[int, int, int]] = field(default_factory=set)
    recorded: list[dict[str, int]] | None = None
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settled = Outcomes(self.stages)

    # Producers

    def add(self, items: int) -> None:
        self.waiting |= {(0, n): Waiting() for n in range(self.total, self.total + items)}
        self.total += items

    def start(self) -> None:
        if self.reopening is not None:
            self.go_on_reopening()
        if self.status is S.CREATED:
            self._become(S.PENDING, "started")
            self.reconcile()

    def seal(self, *, by_its_submission: bool = False) -> None:
        if not self.sealed and not by_its_submission:
            self.events.append("sealed")
        self.sealed = True
        self.reconcile()

    def pause(self) -> None:
        if self.status is not S.PAUSED:
            self._become(S.PAUSED, "paused")

    def resume(self) -> None:
        if self.status is S.PAUSED:
            self._become(S.STARTED, "resumed")

    def cancel(self, now: int, grace: int, in_flight: bool) -> None:
        if self.status in (S.CANCELING, S.REVOKED):
            self.closes_at = min(self.closes_at, now + grace)
        else:
            self._become(S.CANCELING, "canceling")
            self.waiting.clear()
            self.closes_at = now + grace
        self.end_cancel(now, in_flight)

    def end_cancel(self, now: int, in_flight: bool) -> None:
        if self.status is S.CANCELING and (self.closes_at <= now or not in_flight):
            self._close()
            self.recorded, self.revision = self.counts(), 1
            self._become(S.REVOKED, "finished")

    def retry(self, chosen: frozenset[Place] | None = None) -> None:
        self.begin_run(chosen)
        self.go_on_reopening()

    def reopen(self, chosen: frozenset[Place]) -> None:
        """A retry within the run: each item is open again, and went back from its lease."""
        self.settled.keep(lambda place, _: place not in chosen)
        self.waiting |= {place: Waiting() for place in chosen}
        for lease in self.leases.values():
            if lease.state in HOLDING:
                lease.gone |= {n for n in lease.held if (lease.stage, n) in chosen}
        self.events.append("reopened")

    def begin_run(self, chosen: frozenset[Place] | None = None, *, start: bool = True) -> None:
        """The first half of a retry: begin the next run, without reopening any item yet."""
        if self.status is S.CREATED and self.reopening is not None:
            return
        assert self.status in RETRYABLE
        self.run, self.revision, self.recorded = self.run + 1, 0, None
        self.reopening, self.chosen = start, chosen
        self._become(S.CREATED, "retried")

    def go_on_reopening(self) -> None:
        """The second half of a retry, by any caller."""
        if self.reopening is None or self.status is not S.CREATED:
            return
        self._close()
        self.settled.keep(self._stays)
        self.waiting = {place: Waiting() for place in self.open_places()}
        starts, self.reopening = self.reopening, None
        if starts:
            self._become(S.PENDING, "started")
        self.reconcile()

    def _stays(self, place: Place, state: ItemState) -> bool:
        among_others = self.chosen is not None and place not in self.chosen
        return state is ItemState.SUCCEEDED or among_others

    def delete(self, now: int) -> None:
        if self.status not in TERMINAL:
            self.cancel(now, 0, in_flight=True)
        self._close()
        self.deleted = True

    def purge(self, left: int = 0) -> None:
        """Remove the rows of a deleted job, except those of the items before `left`."""
        self.settled.keep(lambda place, _: place[1] < left)

    def begin_removal(self) -> None:
        self.reconcile()
        self._close()
        self.deleted = True

    def remove(self) -> None:
        """Remove all of the job's rows."""
        self.begin_removal()
        self.purge()
        for lease in self.leases.values():
            lease.removed = True

    # Workers

    def ready(self, stage: int, now: int) -> dict[int, Waiting]:
        numbers = (n for at, n in self.waiting if at == stage and self.is_ready(stage, n, now))
        return {n: self.waiting[stage, n] for n in numbers}

    def must_serve(self, stage: int, now: int) -> bool:
        """Whether an item is ready that a claim may not miss."""
        return self.status in CLAIMABLE and any(
            at == stage and max(waiting.due, waiting.certain) <= now
            for (at, n), waiting in self.waiting.items()
            if (at, n) not in self.settled
        )

    def is_ready(self, stage: int, number: int, now: int) -> bool:
        waiting = self.waiting.get((stage, number))
        if waiting is None or self.status not in CLAIMABLE:
            return False
        return waiting.due <= now and (stage, number) not in self.settled

    def claim(
        self, token: str, stage: int, numbers: Iterable[int], now: int, *, starts: bool = True
    ) -> None:
        held = {n: self.waiting.pop((stage, n)) for n in numbers}
        self.leases[token] = ModelLease(self.run, stage, held, now + LEASE, now)
        if self.status is S.PENDING and starts:
            self._become(S.STARTED, "claimed")

    def report(self, token: str, results: Iterable[Given], now: int) -> list[Receipt]:
        lease = self.leases[token]
        receipts = [self.settle(lease, given, now) for given in results]
        self.reconcile()
        return receipts

    def release(self, token: str, now: int) -> int:
        lease = self.leases[token]
        if not self.is_live(lease):
            return 0
        back = self.held(lease)
        self.waiting |= {(lease.stage, n): lease.held[n].released(now) for n in back}
        lease.state = LeaseState.EXPIRED
        return len(back)

    def expire(self, token: str, now: int, *, reconciles: bool = True) -> bool:
        lease = self.leases[token]
        if not self.is_live(lease):
            return False
        for number in self.held(lease):
            self._come_back(lease, number, now)
        lease.state = LeaseState.EXPIRED
        if reconciles:
            self.reconcile()
        return True

    def shorten_waits(self, now: int) -> None:
        """The clock was ahead: shorten waits that exceed what their rule allows."""
        for waiting in self.waiting.values():
            longest = now + (BACKOFF if waiting.failures else 0)
            waiting.due = longest if waiting.due > longest + SLACK else waiting.due
            waiting.certain = longest
        for lease in self.leases.values():
            if self.is_live(lease) and lease.claimed > now + SLACK:
                lease.claimed, lease.deadline = now, now + LEASE

    def is_overdue(self, lease: ModelLease, now: int) -> bool:
        return lease.deadline < now and self.is_live(lease)

    # Derived values

    def counts(self) -> list[dict[str, int]]:
        return self.settled.counts()

    def open_places(self) -> Iterator[Place]:
        for stage in range(self.stages):
            for number in range(self.total):
                arrived = stage == 0 or self.settled.get((stage - 1, number), (0,))[0] == 1
                if arrived and (stage, number) not in self.settled:
                    yield stage, number

    def held(self, lease: ModelLease) -> list[int]:
        gone, stage = lease.gone, lease.stage
        return [n for n in lease.held if n not in gone and (stage, n) not in self.settled]

    def is_live(self, lease: ModelLease) -> bool:
        return lease.state in HOLDING and bool(self.held(lease))

    @property
    def is_whole(self) -> bool:
        """All items are settled, and no more will be added."""
        return self.sealed and all(sum(row.values()) == self.total for row in self.counts())

    @property
    def ends(self) -> bool:
        return self.status in FINALIZABLE and self.is_whole

    @property
    def is_due(self) -> bool:
        """True if reconciling has something to write."""
        return self.ends or (self.status in AMENDABLE and self.counts() != self.recorded)

    def reconcile(self) -> None:
        if not self.is_due:
            return
        kind = "finished" if self.ends else "amended"
        self.revision, self.recorded = self.revision + 1, self.counts()
        self._become(verdict(self.total, self.recorded[-1]["succeeded"], 0.5), kind)

    # How results and expiries move items

    def settle(self, lease: ModelLease, given: Given, now: int) -> Receipt:
        """Apply one result, without reconciling."""
        receipt, good = judge(self, lease, given)
        number, _, output, _ = given
        if receipt in (Receipt.COUNTED, Receipt.AMENDED):
            state = ItemState.SUCCEEDED if good else ItemState.FAILED
            self.settled.put((lease.stage, number), state, output if good else "")
            lease.settled.add(number)
            if good and lease.stage < self.stages - 1:
                self.waiting[lease.stage + 1, number] = Waiting(now)
        if receipt is Receipt.REQUEUED:
            self.waiting[lease.stage, number] = lease.held[number].failed(now + BACKOFF)
            lease.gone.add(number)
        if receipt is Receipt.LATE and good:
            self.late.add((lease.run, lease.stage, number))
        return receipt

    def _come_back(self, lease: ModelLease, number: int, now: int) -> None:
        again = lease.held[number].expired(now, by_itself=len(lease.held) == 1)
        if again.expiries >= EXPIRIES_MAX:
            self.settled.put((lease.stage, number), ItemState.LOST, "")
        else:
            self.waiting[lease.stage, number] = again

    def _close(self) -> None:
        for lease in self.leases.values():
            lease.state = LeaseState.CLOSED

    def _become(self, status: S, event: str) -> None:
        self.status = status
        self.events.append(event)
