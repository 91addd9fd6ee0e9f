"""One transaction that settles results of one lease, whatever is recorded of their items.

Lock the lease, read, judge, write. What another report overtakes between the read and the write is
judged again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.db import IntegrityError

from joblot.errors import PermanentError
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.report import write
from joblot.ledger.report.held import Held
from joblot.ledger.report.hook_calls import (
    HookFailed,
    HooksOf,
    RefusedAtCommit,
    all_or_nothing,
    hooks_of,
)
from joblot.ledger.report.hooks import ResultHook
from joblot.ledger.report.judge import Decision, judge
from joblot.ledger.report.pending_result import PendingResult
from joblot.ledger.report.write import Settled
from joblot.ledger.rows import outputs
from joblot.ledger.rows.deferrals import Deferred, is_due, raised
from joblot.models import Lease, Outcome
from joblot.states import Receipt
from joblot.wire import ItemReceipt

logger = logging.getLogger("joblot.ledger")

Done = tuple[list[Decision], list[PendingResult]]  # what was carried out, what is to judge again


@repeated
def settle(token: UUID, pending: Sequence[PendingResult]) -> Settled:
    """Settle results of different items; those whose files are missing have no answer yet.

    Raises RefusedAtCommit; then nothing is settled.
    """
    found: HooksOf | None = None
    try:
        with durable():
            held = Held.lock(token)
            if held is None:
                return unknown_lease(pending)
            with hooks_of(held.scope) as found:
                settlement = _Settlement(held, found)
                decisions, lacking = settlement.settle(pending)
    except IntegrityError as error:  # of a deferred constraint; joblot's own tables have none
        if found is None or found.is_empty:
            raise
        raise RefusedAtCommit(found, error) from error
    receipts = {decision.number: decision.answer() for decision in decisions}
    return Settled(
        receipts,
        held.job_id,
        lacking,
        _unused(pending, decisions),
        stage=held.stage,
        deferred=settlement.deferred,
    )


def _unused(pending: Sequence[PendingResult], decisions: Sequence[Decision]) -> set[str]:
    """The files that these results brought and no row refers to.

    Without those of results that are to be posted again: they are found then, and not stored twice.
    """
    deferred = {one.number for one in decisions if one.receipt is Receipt.DEFERRED}
    brought = {one.output_ref for one in pending if one.number not in deferred}
    written = {one.pending.output_ref for one in decisions if one.settles or one.keep}
    return {name for name in brought - written if name is not None}


def unknown_lease(pending: Iterable[PendingResult]) -> Settled:
    """The answer to results that come without a lease."""
    receipt, reason = Receipt.REJECTED, "unknown lease"
    return Settled({one.number: ItemReceipt(one.number, receipt, reason) for one in pending})


@repeated
def settled_through(token: UUID, numbers: Collection[int]) -> set[int]:
    """Which of these items were settled through this lease."""
    lease = Lease.ledger.using(alias()).filter(pk=token).first()
    if lease is None:
        return set()
    settled = Outcome.ledger.using(alias()).filter(job_id=lease.job_id, stage=lease.stage)
    mine = settled.filter(number__in=list(numbers), lease_token=token)
    return set(mine.values_list("number", flat=True))


@dataclass(slots=True)
class _Settlement:
    held: Held
    hooks: HooksOf
    deferred: list[Deferred] = field(default_factory=list)

    def settle(self, pending: Sequence[PendingResult]) -> Done:
        """The decisions that were carried out, and the results whose files are missing."""
        decided: list[Decision] = []
        lacking: list[PendingResult] = []
        left = _with_files_held(pending)
        while left:
            judged = self._judged(left)
            lacking += [decision.pending for decision in judged if decision.lacks_file]
            done, left = self._carry_out([one for one in judged if not one.lacks_file])
            decided += done
        write.follow_up(self.held, decided)
        return decided, lacking

    def _judged(self, pending: Sequence[PendingResult]) -> tuple[Decision, ...]:
        """An amendment is judged again with the job's row, whose end may have left the lease."""
        judged = judge(pending, self.held.view(pending))
        if any(one.receipt is Receipt.AMENDED for one in judged):
            self.held = self.held.in_its_run()
            judged = judge(pending, self.held.view(pending))
        return judged

    def _carry_out(self, judged: Sequence[Decision]) -> Done:
        write.requeue(self.held, [one for one in judged if one.receipt is Receipt.REQUEUED])
        done = [one for one in judged if not one.settles and not one.keep]
        keeping = [one for one in judged if one.keep]
        settling = [one for one in judged if one.settles]
        kept, _ = self._hooked(keeping, self.hooks.on_late, self._keep, self._keep_refused)
        settled, again = self._hooked(
            settling, self.hooks.on_result, self._settle, self._settle_refused
        )
        return done + kept + settled, again

    def _hooked(
        self,
        batch: Sequence[Decision],
        hook: ResultHook | None,
        act: Callable[[Sequence[Decision]], Done],
        refused: Callable[[Decision, BaseException | None], Done],
    ) -> Done:
        """Act for the batch, the hook included; if the hook fails for it, item by item."""
        if not batch:
            return [], []
        if hook is None:
            return act(batch)
        try:
            with all_or_nothing():
                return act(batch)
        except HookFailed as error:
            if len(batch) == 1:
                return refused(batch[0], error.__cause__)
        alone = [
            self._hooked([one], hook, act, refused) for one in sorted(batch, key=lambda d: d.number)
        ]
        return [d for done, _ in alone for d in done], [p for _, again in alone for p in again]

    def _settle(self, batch: Sequence[Decision]) -> Done:
        """Settle them and run the hook; what was overtaken is to be judged again."""
        counted = [one for one in batch if one.receipt is Receipt.COUNTED]
        amended = [one for one in batch if one.receipt is Receipt.AMENDED]
        moved = write.settle_if_open(self.held, counted)
        moved |= write.amend_if_given_up(self.held, amended)
        done = [one for one in batch if one.number in moved]
        successes = [one.pending for one in done if one.pending.succeeded]
        self.hooks.call(self.hooks.on_result, successes)
        return done, [one.pending for one in batch if one.number not in moved]

    def _settle_refused(self, one: Decision, cause: BaseException | None) -> Done:
        """The hook failed for this result alone: permanently, or so that a repeat may succeed."""
        if isinstance(cause, PermanentError):
            return [], [one.pending.refused(cause)]
        return [self._deferred(one, "on_result", cause)], []

    def _keep(self, batch: Sequence[Decision]) -> Done:
        """Keep what does not count, and run the hook for late results that were not kept before."""
        new = write.keep_uncounted(self.held, batch)
        done = [replace(one, keep=one.number in new) for one in batch]
        late = [one.pending for one in done if one.keep and one.receipt is Receipt.LATE]
        self.hooks.call(self.hooks.on_late, late)
        return done, []

    def _keep_refused(self, one: Decision, cause: BaseException | None) -> Done:
        if not isinstance(cause, PermanentError):
            return [self._deferred(one, "on_late", cause)], []
        new = write.keep_uncounted(self.held, [one])
        reason = f"{one.reason}; the hook refused it: {cause}"
        return [replace(one, keep=bool(new), reason=reason)], []

    def _deferred(self, one: Decision, hook: str, cause: BaseException | None) -> Decision:
        job, stage = self.held.job_id, self.held.lease.stage
        if is_due(job, stage, f"{hook} {type(cause).__qualname__}"):  # not for each of many items
            logger.warning(
                "job %s: %s failed for item %s",
                job,
                hook,
                one.number,
                exc_info=cause,
                extra={"job": job, "item": one.number, "lease": self.held.lease.pk},
            )
        why = raised(f"{hook}('{self.held.pipeline}')", cause)
        self.deferred.append(Deferred(one.number, hook, why))
        reason = f"{why}; post it again later"
        return replace(one, receipt=Receipt.DEFERRED, reason=reason, keep=False)


def _with_files_held(pending: Sequence[PendingResult]) -> list[PendingResult]:
    """The results, without the files that were removed since they were stored."""
    held = outputs.hold(one.output_ref for one in pending if one.output_ref is not None)
    return [
        one if one.output_ref is None or one.output_ref in held else one.stored_as(None)
        for one in pending
    ]
