"""What a job is, in memory: a small pure model that predicts receipts, counts and status.

It knows the receipt table and the verdict (`joblot.states`), and nothing of the ledger's code.
Which items a claim gets is the ledger's choice; that it may have them is checked.
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
    Outcome,
    Receipt,
    Report,
    Standing,
    receipt_for,
    verdict,
)
from joblot.states import JobStatus as S

FAILURES_MAX, EXPIRIES_MAX = 2, 2
BACKOFF, LEASE, GRACE = 4, 10, 6  # seconds
COUNTS = ("succeeded", "failed", "lost", "skipped")

Place = tuple[int, int]  # stage, number
Given = tuple[int, Outcome, str, bool]  # number, outcome, output, retryable


@dataclass
class Waiting:
    due: int = 0
    failures: int = 0
    expiries: int = 0
    alone: bool = False
    came_back: bool = False


@dataclass
class Lease:
    run: int
    stage: int
    held: dict[int, Waiting]  # as it was when it was granted
    deadline: int
    state: LeaseState = LeaseState.LIVE
    gone: set[int] = field(default_factory=set)


@dataclass
class Job:
    stages: int
    status: S = S.CREATED
    run: int = 1
    revision: int = 0
    total: int = 0
    sealed: bool = False
    deleted: bool = False
    closes_at: int = 0
    settled: dict[Place, tuple[ItemState, str]] = field(default_factory=dict)
    waiting: dict[Place, Waiting] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    late: set[tuple[int, int, int]] = field(default_factory=set)
    recorded: list[dict[str, int]] | None = None
    events: list[str] = field(default_factory=list)

    # Producers

    def add(self, items: int) -> None:
        self.waiting |= {(0, n): Waiting() for n in range(self.total, self.total + items)}
        self.total += items

    def start(self) -> None:
        if self.status is S.CREATED:
            self._become(S.PENDING, "pending")
            self.look()

    def seal(self) -> None:
        self.sealed = True
        self.look()

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

    def retry(self) -> None:
        assert self.status in RETRYABLE
        self._close()
        self.run, self.revision, self.recorded = self.run + 1, 0, None
        self.events.append("retried")
        self.settled = {p: s for p, s in self.settled.items() if s[0] is ItemState.SUCCEEDED}
        self.waiting = {place: Waiting() for place in self.open_places()}
        self._become(S.PENDING, "pending")
        self.look()

    def delete(self, now: int) -> None:
        if self.status not in TERMINAL:
            self.cancel(now, 0, in_flight=True)
        self._close()
        self.deleted = True

    # Workers

    def ready(self, stage: int, now: int) -> dict[int, Waiting]:
        if self.status not in CLAIMABLE:
            return {}
        return {
            n: w
            for (s, n), w in self.waiting.items()
            if s == stage and w.due <= now and (s, n) not in self.settled
        }

    def claim(self, token: str, stage: int, numbers: Iterable[int], now: int) -> None:
        held = {n: self.waiting.pop((stage, n)) for n in numbers}
        self.leases[token] = Lease(self.run, stage, held, now + LEASE)
        if self.status is S.PENDING:
            self._become(S.STARTED, "started")

    def report(self, token: str, results: Iterable[Given], now: int) -> list[Receipt]:
        lease = self.leases[token]
        receipts = [self._settle(lease, given, now) for given in results]
        self.look()
        return receipts

    def release(self, token: str, now: int) -> int:
        lease = self.leases[token]
        if not self.is_live(lease):
            return 0
        back = self.held(lease)
        for number in back:
            known = lease.held[number]
            self._wait(lease, number, Waiting(now, known.failures, known.expiries, known.alone))
            self.waiting[lease.stage, number].came_back = known.came_back
        lease.state = LeaseState.EXPIRED
        return len(back)

    def expire(self, token: str, now: int) -> bool:
        lease = self.leases[token]
        if not self.is_live(lease):
            return False
        for number in self.held(lease):
            self._come_back(lease, number, now)
        lease.state = LeaseState.EXPIRED
        self.look()
        return True

    def is_overdue(self, lease: Lease, now: int) -> bool:
        return self.is_live(lease) and lease.deadline < now

    # What is derived

    def counts(self) -> list[dict[str, int]]:
        counted, skipped = [], 0
        for stage in range(self.stages):
            states = [state for (s, _), (state, _) in self.settled.items() if s == stage]
            row = {name: states.count(ItemState[name.upper()]) for name in COUNTS}
            row["skipped"] = skipped
            counted.append(row)
            skipped += row["failed"] + row["lost"]
        return counted

    def sums(self, stage: int) -> int:
        """The metric "bytes": each success reports as many as its output is long."""
        places = self.settled.items()
        return sum(len(o) for (s, _), (state, o) in places if s == stage and state == 1)

    def open_places(self) -> Iterator[Place]:
        for stage in range(self.stages):
            for number in range(self.total):
                arrived = stage == 0 or self.settled.get((stage - 1, number), (0,))[0] == 1
                if arrived and (stage, number) not in self.settled:
                    yield stage, number

    def held(self, lease: Lease) -> list[int]:
        numbers = [n for n in lease.held if n not in lease.gone]
        return [n for n in numbers if (lease.stage, n) not in self.settled]

    def is_live(self, lease: Lease) -> bool:
        return lease.state in HOLDING and bool(self.held(lease))

    def look(self) -> None:
        counts = self.counts()
        whole = self.sealed and all(sum(row.values()) == self.total for row in counts)
        ends = self.status in FINALIZABLE and whole
        amended = self.status in AMENDABLE and counts != self.recorded
        if ends or amended:
            self.revision, self.recorded = self.revision + 1, counts
            end = verdict(self.total, counts[-1]["succeeded"], 0.5)
            self._become(end, "finished" if ends else "amended")

    # How results and expiries move items

    def _settle(self, lease: Lease, given: Given, now: int) -> Receipt:
        number, outcome, output, retryable = given
        if number not in lease.held:
            return Receipt.REJECTED
        last = lease.stage == self.stages - 1
        good = outcome is Outcome.SUCCEEDED
        within = retryable and lease.held[number].failures + 1 < FAILURES_MAX
        kind = Report.RETRYABLE_FAILURE if within else Report.FINAL_FAILURE
        receipt = receipt_for(
            lease.state,
            self._standing(lease, number, output),
            Report.SUCCESS if good else kind,
            last_stage=last,
        )
        place = lease.stage, number
        if receipt in (Receipt.COUNTED, Receipt.AMENDED):
            self.settled[place] = (ItemState.SUCCEEDED if good else ItemState.FAILED, output)
            if good and not last:
                self.waiting[lease.stage + 1, number] = Waiting(now)
        if receipt is Receipt.REQUEUED:
            known = lease.held[number]
            again = Waiting(now + BACKOFF, known.failures + 1, known.expiries, known.alone)
            again.came_back = known.came_back
            self._wait(lease, number, again)
            lease.gone.add(number)
        if receipt is Receipt.LATE and good:
            self.late.add((lease.run, *place))
        return receipt

    def _standing(self, lease: Lease, number: int, output: str) -> Standing:
        known = self.settled.get((lease.stage, number))
        if known is None:
            return Standing.RETURNED if number in lease.gone else Standing.OPEN
        state, before = known
        if state is ItemState.SUCCEEDED:
            return Standing.SAME if before == output else Standing.OTHER
        return Standing.LOST if state is ItemState.LOST else Standing.FAILED

    def _come_back(self, lease: Lease, number: int, now: int) -> None:
        known = lease.held[number]
        again = Waiting(now, known.failures, known.expiries, alone=True, came_back=True)
        if not known.came_back:
            again.alone = False
        elif len(lease.held) == 1:
            again.expiries += 1
        if again.expiries >= EXPIRIES_MAX:
            self.settled[lease.stage, number] = (ItemState.LOST, "")
        else:
            self._wait(lease, number, again)

    def _wait(self, lease: Lease, number: int, waiting: Waiting) -> None:
        self.waiting[lease.stage, number] = waiting

    def _close(self) -> None:
        for lease in self.leases.values():
            lease.state = LeaseState.CLOSED

    def _become(self, status: S, event: str) -> None:
        self.status = status
        self.events.append(event)
