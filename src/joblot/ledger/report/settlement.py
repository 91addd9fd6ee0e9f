"""One transaction that settles results of one lease, with all that may befall them.

Judge, then act: every result is judged by the receipt table on a fresh read; what another report
overtakes between the read and the write is judged again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self
from uuid import UUID

from django.db import InternalError
from django.db.transaction import TransactionManagementError

from joblot import clock
from joblot.config import limits
from joblot.errors import PermanentError, Unavailable
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.time_limit import Running, ended_after, seconds_within
from joblot.ledger.db.transactions import alias, brief, connection, hook_savepoint, is_conflict
from joblot.ledger.report import hooks, uncounted
from joblot.ledger.report.pending_result import Posted, rows_of
from joblot.ledger.room import room
from joblot.ledger.rows import outputs
from joblot.ledger.rows.items import OutcomeRow, items_by_number, outcomes_by_number, settled_among
from joblot.ledger.rows.job import policy_of, read_job, stages_of
from joblot.ledger.rows.ranges import Span, enqueue, islands
from joblot.ledger.rows.tallies import Deltas
from joblot.models import Attempt, Lease, Outcome
from joblot.states import ItemState, LeaseState, Receipt, Standing, receipt_for
from joblot.wire import failure

logger = logging.getLogger("joblot.ledger")


class HookFailed(Exception):
    """The adopter's hook raised; its own error is the cause."""


@contextmanager
def _hooked() -> Iterator[None]:
    """A savepoint around a hook. Raises HookFailed if the hook did or swallowed an error.

    Raises Unavailable if the transaction is gone with it: after a statement that failed there is
    a way back to the savepoint, from a connection that is lost there is none.
    """
    try:
        with hook_savepoint():
            yield
    except (HookFailed, InternalError, TransactionManagementError) as error:
        cause = error.__cause__ if isinstance(error, HookFailed) else error
        if connection().needs_rollback:
            raise Unavailable(
                f"the transaction ended with its hook: {brief(cause or error)}; it was rolled "
                "back, try again later"
            ) from cause
        raise HookFailed from cause


class Settlement:
    """A lease, locked, and what a report through it changes. Lives inside one transaction."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.state = LeaseState(lease.state)
        self.job_id: int = lease.job_id
        self.job = read_job(lease.job_id, deleted=True)
        self.policy = policy_of(self.job)
        self.stages = stages_of(self.job_id)
        self.spans = [Span(*span) for span in lease.ranges]
        self.deltas = Deltas(len(self.stages))
        self.existing: dict[int, OutcomeRow] = {}
        self.given_up: set[int] = set(lease.gone)  # numbers this lease no longer holds
        self.settled: set[int] = set()
        self.passed_on: list[int] = []
        self._running_hooks: Running | None = None

    @classmethod
    def begin(cls, token: UUID) -> Self | None:
        """Lock the lease, the mutex between this report and expiry, cancel and retry."""
        lease = Lease.ledger.using(alias()).select_for_update().filter(pk=token).first()
        return cls(lease) if lease else None

    @property
    def stage(self) -> int:
        return self.lease.stage

    @property
    def last_stage(self) -> bool:
        return self.stage == len(self.stages) - 1

    @property
    def pipeline(self) -> str:
        return self.stages[self.stage].pipeline

    def settle(self, posted: Sequence[Posted]) -> None:
        """Give every result its receipt, and write all that follows from them."""
        pending = [one for one in posted if self._is_held(one)]
        self._hold_files(pending)
        while pending:
            self._judge(pending)
            pending = self._act([one for one in pending if not self._lacks_file(one)])
        self._let_go(posted)
        self._write()

    @contextmanager
    def hooks_limited(self) -> Iterator[None]:
        """All hooks of this report together hold its locks for `hook_seconds_max`.

        Raises Unavailable when they took longer, or so many hang already that this one may not
        begin.
        """
        if hooks.result_hook(self.pipeline) is None and hooks.late_hook(self.pipeline) is None:
            yield
            return
        seconds = seconds_within(limits().hook_seconds_max)
        what = f"the hook of pipeline {self.pipeline}, job {self.job_id}"
        with room(), ended_after(seconds, what) as self._running_hooks:
            yield

    def _is_held(self, one: Posted) -> bool:
        if any(one.number in span for span in self.spans):
            return True
        one.receipt, one.reason = Receipt.REJECTED, "unknown item: this lease was not granted it"
        return False

    def _hold_files(self, pending: Sequence[Posted]) -> None:
        """What was removed since it was stored has no file any more."""
        held = outputs.hold(one.output_ref for one in pending if one.output_ref is not None)
        for one in pending:
            one.output_ref = one.output_ref if one.output_ref in held else None

    def _lacks_file(self, one: Posted) -> bool:
        """Whether it would be kept, but its file is not stored: it is left without a receipt."""
        if not one.large or one.output_ref is not None:
            return False
        one.lacks_file = one.receipt in (Receipt.COUNTED, Receipt.AMENDED) or (
            one.receipt in (Receipt.LATE, Receipt.CONFLICTING)
            and not uncounted.is_kept(self.lease, one)
        )
        if one.lacks_file:
            one.receipt = None
        return one.lacks_file

    def _span(self, number: int) -> Span:
        return next(span for span in self.spans if number in span)

    def _judge(self, pending: Sequence[Posted]) -> None:
        """Ask the table, on what is committed now."""
        numbers = [one.number for one in pending]
        self.existing |= outcomes_by_number(self.job_id, self.stage, numbers)
        for one in pending:
            report = one.report(self._span(one.number).failures, self.policy.failures_max)
            standing = self._standing(one)
            one.receipt = receipt_for(self.state, standing, report, last_stage=self.last_stage)

    def _standing(self, one: Posted) -> Standing:
        outcome = self.existing.get(one.number)
        if outcome is None:
            return Standing.RETURNED if one.number in self.given_up else Standing.OPEN
        if outcome.state == ItemState.SUCCEEDED:
            return Standing.SAME if outcome.hash == one.hash else Standing.OTHER
        return Standing.LOST if outcome.state == ItemState.LOST else Standing.FAILED

    def _act(self, judged: Sequence[Posted]) -> list[Posted]:
        """Do what the receipts say; returns the results that must be judged again."""
        by_receipt: dict[Receipt | None, list[Posted]] = {}
        for one in judged:
            by_receipt.setdefault(one.receipt, []).append(one)
        for one in by_receipt.get(Receipt.REQUEUED, ()):
            self._requeue(one)
        for receipt in (Receipt.LATE, Receipt.CONFLICTING):
            for one in by_receipt.get(receipt, ()):
                self._keep_uncounted(one)
        settling = [*by_receipt.get(Receipt.COUNTED, ()), *by_receipt.get(Receipt.AMENDED, ())]
        return self._record_whatever_the_hook_does(settling) if settling else []

    # Settling, with the adopter's hook in the same transaction

    def _record_whatever_the_hook_does(self, batch: list[Posted]) -> list[Posted]:
        """Record the batch; if the hook fails for it, item by item."""
        try:
            return self._record(batch)
        except HookFailed as error:
            if len(batch) == 1:
                return self._blame(batch[0], error.__cause__)
        again: list[Posted] = []
        for one in sorted(batch, key=lambda one: one.number):
            again += self._record_whatever_the_hook_does([one])
        return again

    def _record(self, batch: list[Posted]) -> list[Posted]:
        """Settle the batch and run the hook, all or nothing; returns what was overtaken."""
        with _hooked():
            moved = self._insert_if_open([p for p in batch if p.receipt is Receipt.COUNTED])
            moved |= {p.number for p in batch if p.receipt is Receipt.AMENDED and self._amend(p)}
            done = [one for one in batch if one.number in moved]
            successes = [one for one in done if one.result.succeeded]
            self._run_hook(hooks.result_hook(self.pipeline), successes)
        for one in done:
            self._count(one)
        return [one for one in batch if one.number not in moved]

    def _insert_if_open(self, batch: list[Posted]) -> set[int]:
        if not batch:
            return set()
        if connection().vendor == "postgresql":
            rows = fetch(
                connection(),
                "report/settle_if_open",
                job=self.job_id,
                stage=self.stage,
                run=self.lease.run,
                token=self.lease.pk,
                posted=rows_of(batch),
            )
            return {number for (number,) in rows}
        # The transaction holds the only write lock, so what was judged open still is.
        Outcome.ledger.using(alias()).bulk_create(
            Outcome(
                job_id=self.job_id,
                stage=self.stage,
                number=one.number,
                run=self.lease.run,
                lease_token=self.lease.pk,
                settled_at=clock.now(),
                **one.columns(),
            )
            for one in batch
        )
        return {one.number for one in batch}

    def _amend(self, one: Posted) -> bool:
        """Turn a failed or lost item into a success, if it is still what it was judged to be."""
        row = Outcome.ledger.using(alias()).filter(
            job_id=self.job_id,
            stage=self.stage,
            number=one.number,
            state=self.existing[one.number].state,
        )
        return row.update(lease_token=self.lease.pk, settled_at=clock.now(), **one.columns()) == 1

    def _run_hook(self, hook: hooks.ResultHook | None, done: list[Posted]) -> None:
        if hook is None or not done:
            return
        results = self._hook_results(done)
        if not results:
            return
        if self._running_hooks and self._running_hooks.is_ended:
            raise Unavailable("the hook took too long; it is not called again")
        try:
            hook(results)
        except Exception as error:
            if is_conflict(error):
                raise
            raise HookFailed from error

    def _hook_results(self, done: list[Posted]) -> list[hooks.SettledResult]:
        """The results as a hook gets them, by number; without those whose item was pruned."""
        by_number = {one.number: one.result for one in done}
        return [
            hooks.SettledResult(
                job_id=self.job_id,
                run=self.lease.run,
                stage=self.stages[self.stage].name,
                number=item.number,
                key=item.key,
                payload=item.payload,
                output=by_number[item.number].output,
                metrics=by_number[item.number].metrics,
                config=self.job.config if self.job.run == self.lease.run else None,
            )
            for item in items_by_number(self.job_id, by_number)
        ]

    def _blame(self, one: Posted, cause: BaseException | None) -> list[Posted]:
        """The hook failed for this result alone: for good, or so that it may pass."""
        if isinstance(cause, PermanentError):
            one.result = failure(one.number, type(cause).__name__, str(cause))
            one.reason = f"the hook refused it: {cause}"
            return [one]
        self._defer(one, "on_result", cause)
        return []

    def _defer(self, one: Posted, hook: str, cause: BaseException | None) -> None:
        logger.warning(
            "job %s: %s failed for item %s", self.job_id, hook, one.number, exc_info=cause
        )
        one.receipt = Receipt.DEFERRED
        one.reason = f"{hook} failed ({type(cause).__name__}: {cause}); post it again later"

    def _count(self, one: Posted) -> None:
        if one.receipt is Receipt.AMENDED:
            self.deltas.reopen(self.stage, self.existing[one.number].state)
        self.deltas.settle(self.stage, one.state)
        self.settled.add(one.number)
        if one.result.succeeded:
            self.deltas.measure(self.stage, one.result.metrics)
            self.passed_on.append(one.number)

    # What is not settled

    def _requeue(self, one: Posted) -> None:
        span = self._span(one.number)
        failures = span.failures + 1
        again = Span(one.number, one.number, failures, span.expiries, span.returns)
        enqueue(self.job_id, self.stage, [again], self.policy.backoff_seconds(failures))
        Attempt.ledger.using(alias()).create(
            job_id=self.job_id,
            run=self.lease.run,
            stage=self.stage,
            number=one.number,
            cause="failed",
            error_type=one.error.type,
            error_message=one.error.message,
            worker=self.lease.worker,
            at=clock.now(),
        )
        self.given_up.add(one.number)

    def _keep_uncounted(self, one: Posted) -> None:
        late = one.receipt is Receipt.LATE
        if late:
            one.reason = uncounted.why_late(self.job, self.lease)
        if not one.result.succeeded:
            return
        try:
            with _hooked():
                kept = uncounted.keep(self.lease, one)
                if kept and late:
                    self._run_hook(hooks.late_hook(self.pipeline), [one])
        except HookFailed as error:
            if not isinstance(error.__cause__, PermanentError):
                self._defer(one, "on_late", error.__cause__)
                return
            one.reason += f"; the hook refused it: {error.__cause__}"
            kept = uncounted.keep(self.lease, one)
        if kept and late:
            self.deltas.late(self.stage)

    def _let_go(self, posted: Sequence[Posted]) -> None:
        """What another lease has settled is no longer held by this one."""
        for one in posted:
            outcome = self.existing.get(one.number)
            if outcome and one.number not in self.settled and outcome.lease_token != self.lease.pk:
                self.given_up.add(one.number)

    def _write(self) -> None:
        """Queue the next stage, credit the lease, and last of all count."""
        if self.passed_on and not self.last_stage:
            spans = [Span(first, last) for first, last in islands(self.passed_on)]
            enqueue(self.job_id, self.stage + 1, spans)
        self._credit()
        self.deltas.write(self.job_id)

    def _credit(self) -> None:
        """Say what the lease still holds: recounted, for what it settled before may be amended."""
        if self.state is not LeaseState.LIVE or not (self.settled or self.given_up):
            return
        held = {n for span in self.spans for n in span.numbers} - self.given_up
        left = len(held - settled_among(self.job_id, self.stage, held))
        Lease.ledger.using(alias()).filter(pk=self.lease.pk).update(
            open=left,
            gone=sorted(self.given_up),
            state=LeaseState.LIVE if left else LeaseState.SPENT,
        )
