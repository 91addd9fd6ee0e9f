"""Report: judge results one by one, settle them together, answer one receipt each.

Locks, in order: own lease, items by number, the adopter's rows, slots by stage. Two reports wait
for each other only if they share a lease, an item or, for the length of a commit, a slot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import DatabaseError

from joblot import faults, telemetry
from joblot.config import limits
from joblot.errors import JoblotError, NotStorable, Unavailable
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.transactions import (
    alias,
    connection,
    knowing,
    repeated,
    require_durable,
)
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.report import settlement
from joblot.ledger.report.at_once import settle_at_once
from joblot.ledger.report.figures import note_figures
from joblot.ledger.report.hook_calls import HookStopped, RefusedAtCommit
from joblot.ledger.report.pending_result import PendingResult, prepare
from joblot.ledger.report.write import Settled
from joblot.ledger.rows import deferrals, outputs
from joblot.ledger.rows.deferrals import Deferred, raised
from joblot.models import Job, Lease
from joblot.states import Receipt
from joblot.wire import ItemReceipt, Result

logger = logging.getLogger("joblot.ledger")

_REASON_CHARS = 300

# Settles simple results of different items of a lease at once, or does not; the rest is judged.
AtOnce = Callable[[UUID, Sequence[PendingResult]], Settled | None]


def report(token: str | UUID, results: Iterable[Result | Mapping[str, Any]]) -> list[ItemReceipt]:
    """Report results of the items of a lease; returns one receipt each, in the same order.

    When it returns, everything it says is committed. It may be called again with the same
    results at any time: what was counted is then a `duplicate`. A bad result is `rejected` and
    harms no other. Raises InvalidResult for more than `results_per_report_max` results,
    WorkerRevoked if the lease's worker was revoked, Unavailable when the database can't be used
    (its message says how many results are known to be recorded; report all of them again),
    NotDurable inside a transaction.
    """
    return report_by(settle_at_once, token, results)


def report_by(
    at_once: AtOnce, token: str | UUID, results: Iterable[Result | Mapping[str, Any]]
) -> list[ItemReceipt]:
    """As `report`, with `at_once` as the way to settle simple results."""
    with telemetry.timed("report"):
        known, given = _uuid_of(token), list(results)
        if not telemetry.is_traced():
            return _reported(at_once, known, given)
        with telemetry.span("report", _trace_of(known), results=len(given)):
            return _reported(at_once, known, given)


@repeated
def _trace_of(token: UUID | None) -> str | None:
    """The trace of the lease's job; read only where something is traced."""
    if token is None:
        return None
    rows = Job.ledger.using(alias()).filter(pk__in=Lease.ledger.filter(pk=token).values("job"))
    trace: str | None = rows.values_list("trace", flat=True).first()
    return trace


def _reported(
    at_once: AtOnce, known: UUID | None, given: Sequence[Result | Mapping[str, Any]]
) -> list[ItemReceipt]:
    prepared = prepare(given)
    rounds = _Round.of([one for one in prepared if isinstance(one, PendingResult)])
    with knowing(lambda: _recorded(known, prepared, rounds)):
        for one_round in rounds:
            one_round.settle(known, at_once)
            faults.point("report: a round committed")
        faults.point("report: committed, not looked")
        if due := next((one.job_id for one in rounds if one.job_id is not None), None):
            reconcile(due)
    receipts = _in_order(prepared, rounds)
    note_figures(known, prepared, receipts)
    return receipts


def _in_order(
    prepared: Sequence[PendingResult | ItemReceipt], rounds: Sequence[_Round]
) -> list[ItemReceipt]:
    """The receipts of the results, in their order; repeats are in the order of the rounds."""
    if len(rounds) == 1:
        (found,) = (one_round.receipts for one_round in rounds)
        return [one if isinstance(one, ItemReceipt) else found[one.number] for one in prepared]
    answers = {id(one): receipt for one_round in rounds for one, receipt in one_round.answers()}
    return [one if isinstance(one, ItemReceipt) else answers[id(one)] for one in prepared]


def _recorded(token: UUID | None, prepared: Sequence[object], rounds: Sequence[_Round]) -> str:
    """What is known of a report without an answer.

    Its connection may have been lost after the commit, so the database is asked once more.
    """
    answered = {number for one_round in rounds for number in one_round.receipts}
    left = [one.number for one_round in rounds for one in one_round.left]
    known = len(prepared) - len(left)
    if token is not None:
        with suppress(JoblotError, DatabaseError):  # it does not answer now, either
            known += len(settlement.settled_through(token, set(left) - answered))
    return (
        f"{known} of these {len(prepared)} results are known to be recorded, of the others it is "
        "not known; report all of them again, each counts once"
    )


def _uuid_of(token: str | UUID) -> UUID | None:
    try:
        return token if isinstance(token, UUID) else UUID(str(token))
    except ValueError:
        return None


@dataclass(slots=True)
class _Round:
    """Results of different items, and the receipts of those that are committed.

    A repeat in the same report is in a later round, so that it is judged after the first.
    """

    pending: dict[int, PendingResult]
    receipts: dict[int, ItemReceipt] = field(default_factory=dict)
    job_id: int | None = None  # that may be due
    files: dict[int, str] = field(default_factory=dict)  # of large outputs, stored for this round

    @classmethod
    def of(cls, pending: Sequence[PendingResult]) -> list[_Round]:
        by_number = {one.number: one for one in pending}
        if len(by_number) == len(pending):
            return [cls(by_number)] if by_number else []
        rounds: list[_Round] = []
        for one in pending:
            free = next((known for known in rounds if one.number not in known.pending), None)
            if free is None:
                rounds.append(free := cls({}))
            free.pending[one.number] = one
        return rounds

    @property
    def left(self) -> list[PendingResult]:
        if len(self.receipts) == len(self.pending):
            return []
        return [one for number, one in self.pending.items() if number not in self.receipts]

    def answers(self) -> Iterable[tuple[PendingResult, ItemReceipt]]:
        return ((one, self.receipts[number]) for number, one in self.pending.items())

    def settle(self, token: UUID | None, at_once: AtOnce) -> None:
        """Give each result its receipt; without a token, that the lease is unknown."""
        if token is None:
            self._note(settlement.unknown_lease(self.left))
            return
        conn = connection()
        require_durable(conn)
        simple = [one for one in self.left if one.is_simple]
        if simple and dialect_of(conn).has_functions:
            # If the database refuses a value, none was settled; which one it is, is found below.
            with suppress(NotStorable), _noting_stopped(simple):
                self._note(at_once(token, simple))
        if left := self.left:
            self._settle_judged(token, left)

    def _note(self, settled: Settled | None) -> None:
        if settled is not None:
            self.receipts.update(settled.receipts)
            self.job_id = settled.job_id or self.job_id

    def _settle_judged(self, token: UUID, left: Sequence[PendingResult]) -> None:
        """Settle any results. One that the database can't store, or whose hook's rows it refuses at
        COMMIT, is found by halving.

        What a transaction has committed before keeps its receipt.
        """
        try:
            self._settle_and_store(token, left)
        except (NotStorable, RefusedAtCommit) as error:
            left = [one for one in left if one.number not in self.receipts]
            if len(left) == 1:
                self._refuse(left[0], error)
                return
            middle = len(left) // 2
            self._settle_judged(token, left[:middle])
            self._settle_judged(token, left[middle:])

    def _refuse(self, one: PendingResult, error: NotStorable | RefusedAtCommit) -> None:
        if isinstance(error, RefusedAtCommit):
            deferred = error.deferred(one.number)
            about = {"job": error.scope.job_id, "item": one.number}
            logger.warning("item %s: %s at COMMIT", one.number, deferred.cause, extra=about)
            deferrals.note(error.scope.job_id, error.scope.stage, [deferred])
            self._answer(one, Receipt.DEFERRED, f"{deferred.cause}; post it again later")
            return
        self._answer(one, Receipt.REJECTED, str(error)[:_REASON_CHARS])
        self._give_up({self.files.get(one.number)})

    def _settle_and_store(self, token: UUID, left: Sequence[PendingResult]) -> None:
        """Settle them, and store large outputs between two transactions.

        The first judges which outputs are to be kept, the next settles them. It may judge
        otherwise, and then nothing refers to the file.
        """
        for _ in range(limits().output_rounds_max):
            with _noting_stopped(left):
                settled = settlement.settle(token, left)
            self._note(settled)
            self._give_up(settled.unused)
            deferred = list(settled.deferred)
            left = [
                kept for one in settled.lacking if (kept := self._stored(one, deferred)) is not None
            ]
            if deferred and settled.job_id is not None:
                deferrals.note(settled.job_id, settled.stage, deferred)
            if not left:
                return
        raise Unavailable("large outputs were removed as fast as they were stored; try again later")

    def _stored(self, one: PendingResult, deferred: list[Deferred]) -> PendingResult | None:
        """The result with its output stored; None if that failed, which is its answer."""
        try:
            self.files[one.number] = outputs.store(one.canonical_output, one.hash)
            return one.stored_as(self.files[one.number])
        except outputs.NotStored as error:
            cause = error.__cause__
            about = {"item": one.number}
            what = "item %s: its output was not stored"
            logger.warning(what, one.number, exc_info=cause, extra=about)
            why = raised("the storage", cause)
            deferred.append(Deferred(one.number, "storage", why))
            self._answer(one, Receipt.DEFERRED, f"{why}; post it again later")
            return None

    def _give_up(self, names: Iterable[str | None]) -> None:
        """Let the sweep look at files that these results do not refer to in the end.

        If this fails, the sweep looks at them after `output_unsettled_seconds`.
        """
        if given_up := {name for name in names if name is not None}:
            with suppress(Unavailable):
                outputs.give_up(given_up)

    def _answer(self, one: PendingResult, receipt: Receipt, reason: str) -> None:
        self.receipts[one.number] = ItemReceipt(one.number, receipt, reason)


@contextmanager
def _noting_stopped(left: Sequence[PendingResult]) -> Iterator[None]:
    """If a hook ends the transaction of these results, note that all of them were deferred."""
    try:
        yield
    except HookStopped as error:
        scope = error.scope
        deferred = [Deferred(one.number, error.hook, error.cause) for one in left]
        deferrals.note(scope.job_id, scope.stage, deferred)
        raise
