"""Report: judge results one by one, settle them together, answer one receipt each.

Locks, in order: own lease, items by number, the adopter's rows, slots by stage. Two reports wait
for each other only if they share a lease, an item or, for the length of a commit, a slot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import DatabaseError

from joblot import faults, wire
from joblot.config import limits
from joblot.errors import InvalidResult, Unavailable
from joblot.ledger import hooks
from joblot.ledger.look import look
from joblot.ledger.outputs import store_if_large
from joblot.ledger.posted import Posted, rows_of
from joblot.ledger.settlement import Settlement
from joblot.ledger.statements import fetch
from joblot.ledger.transactions import (
    connection,
    durable,
    is_of_content,
    repeated,
    require_durable,
)
from joblot.states import Receipt
from joblot.wire import ItemReceipt, Result

_REASON_CHARS = 300


def report(token: str | UUID, results: Iterable[Result | Mapping[str, Any]]) -> list[ItemReceipt]:
    """Report results of the items of a lease; returns one receipt each, in the same order.

    When it returns, everything it says is committed. It may be called again with the same
    results at any time: what was counted is then a `duplicate`. A bad result is `rejected` and
    harms no other. Raises InvalidResult for more than `results_per_report_max` results,
    Unavailable when the database can't be used (nothing is half done), NotDurable inside a
    transaction.
    """
    return settle_prepared(uuid_of(token), prepare(list(results)))


def settle_prepared(token: UUID | None, posted: list[Posted | Rejected]) -> list[ItemReceipt]:
    """Report what was prepared; without a token each is told that the lease is unknown."""
    job_id = None
    if token is not None:
        for one_round in rounds(posted):
            job_id = _settle_round(token, one_round) or job_id
    faults.point("report: committed, not looked")
    if job_id is not None:
        look(job_id)
    return [one.answer() for one in posted]


@dataclass(slots=True)
class Rejected:
    """A result that goes no further: it is bad in itself, or its output can't be stored now."""

    receipt: ItemReceipt

    def answer(self) -> ItemReceipt:
        return self.receipt


def prepare(results: Sequence[Result | Mapping[str, Any]]) -> list[Posted | Rejected]:
    """Results parsed, hashed, and their large outputs stored. Raises InvalidResult for too many."""
    if len(results) > limits().results_per_report_max:
        raise InvalidResult(
            f"expected at most {limits().results_per_report_max} results in one report, "
            f"got {len(results)}; split them"
        )
    return [_prepared(result) for result in wire.parse_results(results)]


def _prepared(result: Result | ItemReceipt) -> Posted | Rejected:
    """The result with its hash, its output stored if it is large: all before the transaction."""
    if isinstance(result, ItemReceipt):
        return Rejected(result)
    if not result.succeeded:
        return Posted(result, "", b"", None)
    try:
        canonical = result.output_text or wire.canonical(result.output)
        digest = wire.result_hash(canonical)
        return Posted(result, canonical, digest, store_if_large(canonical, digest))
    except InvalidResult as error:
        return Rejected(ItemReceipt(result.item, Receipt.REJECTED, str(error)))
    except Unavailable as error:
        return Rejected(ItemReceipt(result.item, Receipt.DEFERRED, str(error)))


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
    except DatabaseError as error:
        if not is_of_content(error):
            raise
        job_id = None
    left = [one for one in posted if one.receipt is None]
    return settle_judged(token, left) if left else job_id


@repeated
def _settle_at_once(token: UUID, posted: list[Posted]) -> int | None:
    """The usual report in one statement; what it leaves alone is to be judged."""
    simple = simple_among(posted)
    if not simple or not at_once_is_possible():
        return None
    rows = fetch(connection(), "settle_if_held", token=token, posted=rows_of(simple))
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
    return [one for one in posted if one.result.succeeded or not one.result.retryable]


def count_moved(posted: Iterable[Posted], moved: Collection[int] | None) -> None:
    """Receipts for those whose items a statement has settled."""
    counted = set(moved or ())
    for one in posted:
        if one.number in counted:
            one.receipt = Receipt.COUNTED


def settle_judged(token: UUID, posted: list[Posted]) -> int | None:
    """Any report; gives every result its receipt, whatever the database refuses one of them for.

    One that the database can't keep is found by halving, and rejected; the others are settled.
    """
    try:
        return _settle_in_transaction(token, posted)
    except (DatabaseError, OverflowError) as error:
        if not is_of_content(error):
            raise
        if len(posted) == 1:
            posted[0].receipt = Receipt.REJECTED
            posted[0].reason = f"the database can't keep it: {error}".splitlines()[0][
                :_REASON_CHARS
            ]
            return None
    middle = len(posted) // 2
    first, second = settle_judged(token, posted[:middle]), settle_judged(token, posted[middle:])
    return second or first


@repeated
def _settle_in_transaction(token: UUID, posted: list[Posted]) -> int | None:
    """All of them, in one transaction of several statements."""
    for one in posted:
        one.receipt = None
    with durable():
        settlement = Settlement.begin(token)
        if settlement is None:
            return None  # the receipts say so: unknown lease
        settlement.settle(posted)
    return settlement.job_id
