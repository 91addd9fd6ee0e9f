"""Calling the adopter's hooks in the transaction of a report: all or nothing, within a limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import InternalError
from django.db.transaction import TransactionManagementError

from joblot.config import limits
from joblot.errors import Unavailable
from joblot.ledger.db.time_limit import Running, ended_after, seconds_within
from joblot.ledger.db.transactions import brief, connection, hook_savepoint, is_conflict
from joblot.ledger.report import hooks
from joblot.ledger.report.pending_result import PendingResult
from joblot.ledger.room import room
from joblot.ledger.rows.deferrals import Deferred, raised
from joblot.ledger.rows.items import ItemRow, items_by_number


@dataclass(frozen=True, slots=True)
class HookScope:
    """Where the results of a hook come from. `config` is that of their run, or None."""

    job_id: int
    run: int
    stage: int
    stage_name: str
    pipeline: str
    config: Any


class HookFailed(Exception):
    """The adopter's hook raised; its own error is the cause."""


class HookStopped(Unavailable):
    """A hook ended the transaction of its report, or could not begin; `cause` says which."""

    def __init__(self, message: str, scope: HookScope, hook: str, cause: str) -> None:
        super().__init__(message)
        self.scope, self.hook, self.cause = scope, hook, cause


class _TransactionLost(Unavailable):
    """The hook has ended its transaction; what it raised is the cause."""


@dataclass(frozen=True, slots=True)
class HooksOf:
    """The hooks of a lease's pipeline, while they run for one report."""

    scope: HookScope
    on_result: hooks.ResultHook | None
    on_late: hooks.ResultHook | None
    running: Running | None = None

    @property
    def is_empty(self) -> bool:
        return self.on_result is None and self.on_late is None

    @property
    def kind(self) -> str:
        """The hook that is named where it is not known which one failed."""
        return "on_result" if self.on_result else "on_late"

    def call(
        self,
        hook: hooks.ResultHook | None,
        successes: Iterable[PendingResult],
        items: Sequence[ItemRow] | None = None,
    ) -> None:
        """Call the hook, if there is one, and anything for it. Raises HookFailed, Unavailable.

        `items`: those of the successes, if they were read already.
        """
        results = self._results(successes, items) if hook else []
        if hook is None or not results:
            return
        if self.running and self.running.is_ended:
            raise Unavailable("the hook took too long; it is not called again")
        try:
            hook(results)
        except Exception as error:
            if is_conflict(error):
                raise
            raise HookFailed from error

    def _results(
        self, successes: Iterable[PendingResult], items: Sequence[ItemRow] | None
    ) -> list[hooks.SettledResult]:
        """The results as a hook gets them, by number, except those of pruned items."""
        scope, by_number = self.scope, {one.number: one.result for one in successes}
        if items is None:
            items = items_by_number(scope.job_id, by_number) if by_number else []
        return [
            hooks.SettledResult(
                job_id=scope.job_id,
                run=scope.run,
                stage=scope.stage_name,
                number=item.number,
                key=item.key,
                payload=item.payload,
                output=by_number[item.number].output,
                metrics=by_number[item.number].metrics,
                config=scope.config,
            )
            for item in items
        ]


class RefusedAtCommit(Exception):
    """A deferred constraint refused what a hook wrote, so nothing of its report was committed."""

    def __init__(self, found: HooksOf, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.scope, self.hook, self.cause = found.scope, found.kind, cause

    def deferred(self, number: int) -> Deferred:
        """For the only result of that report."""
        why = raised(f"{self.hook}('{self.scope.pipeline}')", self.cause)
        return Deferred(number, self.hook, why)


@contextmanager
def hooks_of(scope: HookScope) -> Iterator[HooksOf]:
    """All hooks of this report together hold its locks for `hook_seconds_max`.

    Raises HookStopped if they took longer, if they lost the transaction, or if too many hang
    already for this one to begin.
    """
    found = HooksOf(scope, hooks.result_hook(scope.pipeline), hooks.late_hook(scope.pipeline))
    if found.is_empty:
        yield found
        return
    seconds = seconds_within(limits().hook_seconds_max)
    what = f"the hook of pipeline {scope.pipeline}, job {scope.job_id}"
    hook, running = found.kind, None
    name = f"{hook}('{scope.pipeline}')"
    try:
        with room(), ended_after(seconds, what) as running:
            yield HooksOf(scope, found.on_result, found.on_late, running)
    except Unavailable as error:
        if running is None:
            cause = f"{name} could not begin: {error}"
        elif running.is_ended:
            cause = f"{name} took longer than {seconds:g} s"
        elif isinstance(error, _TransactionLost):
            cause = raised(name, error.__cause__)
        else:
            raise
        raise HookStopped(str(error), scope, hook, cause) from error


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """A savepoint around a hook and what it is called for. Raises HookFailed if the hook failed, or
    swallowed a database error.

    Raises Unavailable if the transaction is lost: a failed statement can be rolled back to the
    savepoint, a lost connection can't.
    """
    try:
        with hook_savepoint():
            yield
    except (HookFailed, InternalError, TransactionManagementError) as error:
        cause = error.__cause__ if isinstance(error, HookFailed) else error
        if connection().needs_rollback:
            raise _TransactionLost(
                f"the transaction ended with its hook: {brief(cause or error)}; it was rolled "
                "back, try again later"
            ) from cause
        raise HookFailed from cause
