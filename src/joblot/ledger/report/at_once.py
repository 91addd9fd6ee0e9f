"""Simple results of one lease, settled without being judged: by functions of the database.

Without a hook, one call of a procedure settles them, commits, and then checks whether anything may
be due for the job. With a hook, which runs in the transaction that counts its items, and in a
test's transaction, the same functions are called one by one; after a hook, the last of them is sent
with the COMMIT. They settle all of the results or none, and then these are judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, InternalError
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.errors import Unavailable
from joblot.ledger.db.statements import (
    can_commit_within,
    execute,
    fetch,
    fetch_after_commit,
    json_value,
)
from joblot.ledger.db.transactions import connection, durable, repeated
from joblot.ledger.report import hooks
from joblot.ledger.report.hook_calls import HookFailed, HookScope, hooks_of
from joblot.ledger.report.pending_result import Columns, PendingResult, columns_of
from joblot.ledger.report.write import Settled, counted
from joblot.ledger.rows import pipelines_claimed
from joblot.ledger.rows.items import ItemRow, item_row
from joblot.ledger.rows.wake import note_passed_on


def settle_at_once(token: UUID, pending: Sequence[PendingResult]) -> Settled | None:
    """Settle the results if all of their items are open and count; otherwise none of them.

    What is not settled has no receipt, and is to be judged. Raises Unavailable, NotStorable;
    HookStopped, if the hook ended the transaction.
    """
    columns = columns_of(pending)
    numbers = columns["numbers"]
    if not goes_in_parts(token):
        ((job_id, is_settled, has_hook, due),) = _report(token, columns)
        note_passed_on(job_id)
        if not has_hook:
            if job_id is None:
                return None
            return counted(numbers if is_settled else (), job_id if due else None)
    try:
        settled = _settle_in_parts(token, columns, pending)
    except (HookFailed, IntegrityError):  # at the COMMIT, if a constraint of its rows is deferred
        return None
    if settled is None:
        return None
    job_id, failed, due = settled
    note_passed_on(job_id)
    if due is None:
        try:
            due = may_be_due(job_id, failed)
        except Unavailable:  # they are committed
            due = True
    return counted(numbers, job_id if due else None)


def goes_in_parts(token: UUID) -> bool:
    """Whether the report is no single call, as far as is known: it has a hook, or is in a test."""
    pipeline = pipelines_claimed.of(token)
    hooked = pipeline is not None and hooks.result_hook(pipeline) is not None
    return hooked or connection().in_atomic_block


@repeated
def _report(token: UUID, columns: Columns) -> list[tuple[Any, ...]]:
    hooked = hooks.hooked_pipelines() or None
    asked = {"token": token, "hooked": hooked}
    return fetch(connection(), "report/report", clock=None, **asked, **columns)


@repeated
def may_be_due(job_id: int, failed: int) -> bool:
    """Whether the job is to be reconciled after a report that failed so many of its items.

    Ask after the commit: only then is the last report to commit the one that sees the sum of all.
    """
    ((due,),) = fetch(connection(), "report/may_be_due", job=job_id, failed=failed)
    return bool(due)


@repeated
def _settle_in_parts(
    token: UUID, columns: Columns, pending: Sequence[PendingResult]
) -> tuple[int, int, bool | None] | None:
    """The job, how many of the items failed, and whether the job may be due if that was asked; None
    if none of them is settled. Raises HookFailed, and has then done nothing.
    """
    with durable() as conn:
        (settled,) = fetch(conn, "report/settle_in_part", clock=None, token=token, **columns)
        job_id, run, stage, succeeded, failed, metrics, name, pipeline, config, *read = settled
        if succeeded is None:
            return None
        if succeeded and hooks.result_hook(pipeline) is not None:
            items = [item_row(*row) for row in zip(*read, strict=True)] if read[0] else []
            scope = HookScope(job_id, run, stage, name, pipeline, json_value(config))
            _call_hook(scope, pending, items)
        amounts = {"succeeded": succeeded, "failed": failed, "metrics": metrics}
        try:
            due = _count(conn, {"job": job_id, "stage": stage, **amounts})
        except InternalError as error:  # the transaction has failed, in the hook
            raise HookFailed from error
    return job_id, failed, due


def _count(conn: BaseDatabaseWrapper, amounts: dict[str, Any]) -> bool | None:
    """Count, last of all, and where possible commit and check with the same message."""
    if not can_commit_within(conn):
        execute(conn, "report/count", **amounts)
        return None
    ((due,),) = fetch_after_commit(conn, "report/count_and_commit", **amounts)
    return bool(due)


def _call_hook(
    scope: HookScope, pending: Sequence[PendingResult], items: Sequence[ItemRow]
) -> None:
    """Raises HookFailed, also if the hook swallowed a database error; HookStopped."""
    with hooks_of(scope) as found:
        found.call(found.on_result, pending, items)
        if connection().needs_rollback:
            raise HookFailed
