"""Calling the adopter's hooks in the transaction of a report: all or nothing, within a limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import InternalError
from django.db.transaction import TransactionManagementError

from joblot.config import limits
from joblot.errors import Unavailable
from joblot.ledger.db.time_limit import Running, ended_after, seconds_within
from joblot.ledger.db.transactions import brief, connection, hook_savepoint, is_conflict
from joblot.ledger.report import hooks
from joblot.ledger.report.held import Held
from joblot.ledger.report.pending_result import PendingResult
from joblot.ledger.room import room
from joblot.ledger.rows.deferrals import raised
from joblot.ledger.rows.items import items_by_number


class HookFailed(Exception):
    """The adopter's hook raised; its own error is the cause."""


class HookStopped(Unavailable):
    """A hook ended the transaction of its report, or could not begin; `cause` says which."""

    def __init__(self, message: str, held: Held, hook: str, cause: str) -> None:
        super().__init__(message)
        self.held, self.hook, self.cause = held, hook, cause


class _TransactionLost(Unavailable):
    """The hook has ended its transaction; what it raised is the cause."""


@dataclass(frozen=True, slots=True)
class HooksOf:
    """The hooks of a lease's pipeline, while they run for one report."""

    held: Held
    on_result: hooks.ResultHook | None
    on_late: hooks.ResultHook | None
    running: Running | None = None

    def call(self, hook: hooks.ResultHook | None, successes: Iterable[PendingResult]) -> None:
        """Call the hook, if there is one, and anything for it. Raises HookFailed, Unavailable."""
        results = self._results(successes) if hook else []
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

    def _results(self, successes: Iterable[PendingResult]) -> list[hooks.SettledResult]:
        """The results as a hook gets them, by number, except those of pruned items."""
        held, by_number = self.held, {one.number: one.result for one in successes}
        if not by_number:
            return []
        return [
            hooks.SettledResult(
                job_id=held.job_id,
                run=held.lease.run,
                stage=held.stage_name,
                number=item.number,
                key=item.key,
                payload=item.payload,
                output=by_number[item.number].output,
                metrics=by_number[item.number].metrics,
                config=held.job.config if held.job.run == held.lease.run else None,
            )
            for item in items_by_number(held.job_id, by_number)
        ]


@contextmanager
def hooks_of(held: Held) -> Iterator[HooksOf]:
    """All hooks of this report together hold its locks for `hook_seconds_max`.

    Raises HookStopped if they took longer, if they lost the transaction, or if too many hang
    already for this one to begin.
    """
    found = HooksOf(held, hooks.result_hook(held.pipeline), hooks.late_hook(held.pipeline))
    if found.on_result is None and found.on_late is None:
        yield found
        return
    seconds = seconds_within(limits().hook_seconds_max)
    what = f"the hook of pipeline {held.pipeline}, job {held.job_id}"
    hook = "on_result" if found.on_result else "on_late"
    name, running = f"{hook}('{held.pipeline}')", None
    try:
        with room(), ended_after(seconds, what) as running:
            yield HooksOf(held, found.on_result, found.on_late, running)
    except Unavailable as error:
        if running is None:
            cause = f"{name} could not begin: {error}"
        elif running.is_ended:
            cause = f"{name} took longer than {seconds:g} s"
        elif isinstance(error, _TransactionLost):
            cause = raised(name, error.__cause__)
        else:
            raise
        raise HookStopped(str(error), held, hook, cause) from error


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
