"""Record what is new of the evidence, and account for the rest, result by result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from joblot.config import limits
from joblot.importing.account import StageAccount
from joblot.importing.evidence import Evidence
from joblot.importing.mapping import KnownResult
from joblot.importing.target import Target
from joblot.ledger.report.pending_result import PendingResult, prepare
from joblot.ledger.rows.items import OutcomeRow
from joblot.states import ItemState
from joblot.wire import failure, success


def record(found: Evidence, target: Target) -> None:
    """Stage by stage, because an item gets into a stage by success in the one before."""
    for stage, account in enumerate(found.accounts):
        for chunk in _chunks(found.of_stage(stage)):
            left: Sequence[KnownResult] = chunk
            while left:  # again, if a worker has settled one meanwhile
                left = _record(stage, left, target, account, set(found.implied[stage]))


def _chunks(known: Sequence[KnownResult]) -> Iterator[Sequence[KnownResult]]:
    size = limits().results_per_report_max
    return (known[begin : begin + size] for begin in range(0, len(known), size))


def _record(
    stage: int,
    known: Sequence[KnownResult],
    target: Target,
    account: StageAccount,
    implied: set[str],
) -> list[KnownResult]:
    """Record these; returns those that another writer was first to settle."""
    numbers = target.numbers([one.key for one in known])
    outcomes = target.outcomes(stage, numbers.values())
    before = target.outcomes(stage - 1, numbers.values()) if stage else None
    new: dict[int, tuple[KnownResult, PendingResult]] = {}
    for one in known:
        number = numbers[one.key]
        pending = _pending(number, one)
        passed = before is None or _succeeded(before.get(number))
        reason = _reason(pending, outcomes.get(number), passed=passed, is_over=target.is_over)
        if pending is not None and not reason:
            new[number] = one, pending
        elif one.key not in implied:
            _note(account, reason, one.key)
    moved = target.record(stage, [pending for _, pending in new.values()]) if new else set()
    account.recorded += sum(new[number][0].key not in implied for number in moved)
    return [one for number, (one, _) in new.items() if number not in moved]


def _succeeded(outcome: OutcomeRow | None) -> bool:
    return outcome is not None and outcome.state is ItemState.SUCCEEDED


def _pending(number: int, one: KnownResult) -> PendingResult | None:
    """The result as the ledger takes it; None if it can't be stored in a row."""
    given: Any = (
        success(number, one.output, one.metrics)
        if one.error is None
        else failure(number, one.error_type, one.error)
    )
    (found,) = prepare([given])
    return found if isinstance(found, PendingResult) and not found.large else None


def _reason(
    pending: PendingResult | None, outcome: OutcomeRow | None, *, passed: bool, is_over: bool
) -> str:
    """Why a result is not to be recorded; "" if it is."""
    if pending is None:
        return "not_storable"
    if outcome is not None:
        same = outcome.state is pending.state and outcome.hash == (pending.hash or None)
        return "already" if same else "conflicting"
    if is_over:
        return "too_late"
    return "" if passed else "conflicting"


def _note(account: StageAccount, reason: str, key: str) -> None:
    if reason == "already":
        account.already += 1
    else:
        account.leave(reason, key)
