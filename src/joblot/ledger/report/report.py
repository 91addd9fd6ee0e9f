"""Report: judge results one by one, settle them together, answer one receipt each.

Locks, in order: own lease, items by number, the adopter's rows, slots by stage. Two reports wait
for each other only if they share a lease, an item or, for the length of a commit, a slot.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joblot import faults, wire
from joblot.config import limits
from joblot.errors import InvalidResult, NotStorable, Unavailable
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import (
    connection,
    durable,
    knowing,
    repeated,
    require_durable,
)
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.report import hooks
from joblot.ledger.report.pending_result import Posted, rows_of
from joblot.ledger.report.settlement import Settlement
from joblot.ledger.rows import outputs
from joblot.states import Receipt
from joblot.wire import ItemReceipt, Result

logger = logging.getLogger("joblot.ledger")

_REASON_CHARS = 300


def report(token: str | UUID, results: Iterable[Result | Mapping[str, Any]]) -> list[ItemReceipt]:
    """Report results of the items of a lease; returns one receipt each, in the same order.

    When it returns, everything it says is committed. It may be called again with the same
    results at any time: what was counted is then a `duplicate`. A bad result is `rejected` and
    harms no other. Raises InvalidResult for more than `results_per_report_max` results,
    Unavailable when the database can't be used (its message says how many results are known to be
    recorded; report all of them again), NotDurable inside a transaction.
    """
    return settle_prepared(uuid_of(token), prepare(list(results)))


def settle_prepared(token: UUID | None, posted: list[Posted | Rejected]) -> list[ItemReceipt]:
    """Report what was prepared; without a token each is told that the lease is unknown."""
    job_id = None
    with knowing(lambda: recorded(posted)):
        if token is not None:
            for one_round in rounds(posted):
                job_id = _settle_round(token, one_round) or job_id
                faults.point("report: a round committed")
        faults.point("report: committed, not looked")
        if job_id is not None:
            reconcile(job_id)
    return [one.answer() for one in posted]


def recorded(posted: Sequence[Posted | Rejected]) -> str:
    """What is known of a report that has no answer, once its transactions have ended."""
    known = sum(one.receipt is not None for one in posted)
    return (
        f"{known} of these {len(posted)} results are known to be recorded, of the others it is not "
        "known; report all of them again, each counts once"
    )


@dataclass(slots=True)
class Rejected:
    """A result that goes no further: it is bad in itself."""

    receipt: ItemReceipt

    def answer(self) -> ItemReceipt:
        return self.receipt


def prepare(results: Sequence[Result | Mapping[str, Any]]) -> list[Posted | Rejected]:
    """Results parsed and hashed. Raises InvalidResult for too many."""
    if len(results) > limits().results_per_report_max:
        raise InvalidResult(
            f"expected at most {limits().results_per_report_max} results in one report, "
            f"got {len(results)}; split them"
        )
    return [_prepared(result) for result in wire.parse_results(results)]


def _prepared(result: Result | ItemReceipt) -> Posted | Rejected:
    """The result with its hash, before the transaction."""
    if isinstance(result, ItemReceipt):
        return Rejected(result)
    if not result.succeeded:
        return Posted(result, "", b"")
    try:
        canonical = result.output_text or wire.canonical(result.output)
        digest = wire.result_hash(canonical)
        large = outputs.is_large(canonical)
    except InvalidResult as error:
        return Rejected(ItemReceipt(result.item, Receipt.REJECTED, str(error)))
    return Posted(result, canonical, digest, large)


def uuid_of(token: str | UUID) -> UUID | None:
    try:
        return token if isinstance(token, UUID) else UUID(str(token))
    except ValueError:
        return None


def rounds(posted: Iterable[Posted | Rejected]) -> list[list[Posted]]:
    """Each item once a round: a repeat in the same report is judged after the first."""
    told: list[dict[int, Posted]] = []
    for one in posted:
        if isinstance(one, Rejected):
            continue
        for known in told:
            if one.number not in known:
                known[one.number] = one
                break
        else:
            told.append({one.number: one})
    return [list(one_round.values()) for one_round in told]


def _settle_round(token: UUID, posted: list[Posted]) -> int | None:
    """Settle results of different items; returns the job that may now be due, if any."""
    require_durable(connection())
    try:
        job_id = _settle_at_once(token, posted)
    except NotStorable:
        job_id = None  # none was settled: one of them is to be found
    left = [one for one in posted if one.receipt is None]
    return settle_judged(token, left) if left else job_id


@repeated
def _settle_at_once(token: UUID, posted: list[Posted]) -> int | None:
    """The usual report in one statement; what it leaves alone is to be judged."""
    simple = simple_among(posted)
    if not simple or not at_once_is_possible():
        return None
    rows = fetch(connection(), "report/settle_if_held", token=token, posted=rows_of(simple))
    if not rows:
        return None
    job_id, moved = rows[0]
    count_moved(simple, moved)
    return int(job_id)


def at_once_is_possible() -> bool:
    """True if a report can be one statement: nobody's hook wants to run in its transaction."""
    return connection().vendor == "postgresql" and not hooks.any_result_hook()


def simple_among(posted: Iterable[Posted]) -> list[Posted]:
    """Those that are settled or left alone, whatever has happened to their items before."""
    return [
        one
        for one in posted
        if (one.result.succeeded or not one.result.retryable) and not one.large
    ]


def count_moved(posted: Iterable[Posted], moved: Collection[int] | None) -> None:
    """Receipts for those whose items a statement has settled."""
    counted = set(moved or ())
    for one in posted:
        if one.number in counted:
            one.receipt = Receipt.COUNTED


def settle_judged(token: UUID, posted: list[Posted]) -> int | None:
    """Any report; gives every result its receipt. Returns the job, None for an unknown lease.

    A result that the database can't store is found by halving, and rejected; the others are
    settled. What a transaction has committed before keeps its receipt.
    """
    try:
        return _settle_and_store(token, posted)
    except NotStorable as error:
        left = [one for one in posted if one.receipt is None]
        if len(left) == 1:
            left[0].receipt, left[0].reason = Receipt.REJECTED, str(error)[:_REASON_CHARS]
            _give_up_files(left)
            return None
    middle = len(left) // 2
    first, second = settle_judged(token, left[:middle]), settle_judged(token, left[middle:])
    return second or first


def _settle_and_store(token: UUID, posted: list[Posted]) -> int | None:
    """Settle them, and store large outputs between two transactions.

    The first judges which outputs are to be kept, the next settles them. It may judge otherwise,
    and then nothing refers to the file.
    """
    job_id, left = None, posted
    for _ in range(limits().output_rounds_max):
        job_id = _settle_in_transaction(token, left) or job_id
        _give_up_files(one for one in left if not one.lacks_file)
        left = [one for one in left if one.lacks_file and _store(one)]
        if not left:
            return job_id
    raise Unavailable("large outputs were removed as fast as they were stored; try again later")


def _store(one: Posted) -> bool:
    """Store its output; False if that failed, and then its receipt says so."""
    try:
        one.output_ref = outputs.store(one.canonical_output, one.hash)
    except outputs.NotStored as error:
        cause = error.__cause__
        logger.warning("item %s: its output was not stored", one.number, exc_info=cause)
        one.receipt = Receipt.DEFERRED
        one.reason = f"the storage failed ({type(cause).__name__}: {cause}); post it again later"
    return one.output_ref is not None


def _give_up_files(posted: Iterable[Posted]) -> None:
    """Let the sweep look at files that were stored for results which do not refer to them now.

    Not at that of a result which is to be posted again: it is found then, and not stored twice. If
    this fails, the sweep looks at them after `output_unsettled_seconds`.
    """
    names = {
        one.output_ref
        for one in posted
        if one.output_ref is not None
        and one.receipt is not Receipt.DEFERRED
        and not (one.result.succeeded and one.receipt in (Receipt.COUNTED, Receipt.AMENDED))
    }
    if names:
        with suppress(Unavailable):
            outputs.give_up(names)


@repeated
def _settle_in_transaction(token: UUID, posted: list[Posted]) -> int | None:
    """One transaction of several statements; leaves alone what lacks its file."""
    for one in posted:
        one.receipt, one.lacks_file = None, False
    with _receipts_of_a_commit(posted), durable():
        settlement = Settlement.begin(token)
        if settlement is None:
            return None  # the receipts say so: unknown lease
        with settlement.hooks_limited():
            settlement.settle(posted)
    return settlement.job_id


@contextmanager
def _receipts_of_a_commit(posted: list[Posted]) -> Iterator[None]:
    """Without one there are none: what was judged may have been rolled back."""
    try:
        yield
    except BaseException:
        for one in posted:
            one.receipt = None
        raise
