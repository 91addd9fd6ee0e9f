"""`fan_out`: many items for one task, and a callback at their end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from celery import Signature, Task
from django.db import transaction

from joblot.contrib.celery import hints
from joblot.contrib.celery.item_task import ItemTask
from joblot.errors import InvalidInput
from joblot.ledger.db.transactions import alias
from joblot.ledger.submit.submit import submit
from joblot.models import Job

LEASE_SECONDS = 60.0  # how long the item of a worker that was killed waits, unless the policy says


def fan_out(
    task: Task | Signature,
    items: Iterable[str | Mapping[str, Any]],
    *,
    callback: Task | Signature | None = None,
    name: str = "",
    project: str = "default",
    priority: int | None = None,
    policy: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    actor: str = "",
) -> Job:
    """Have Celery's workers call `task` with each item, and `callback` when all are settled.

    `items` are as in `submit`: `{"key": str, "payload": JSON}`, or just a key. Both tasks are
    declared with `base=ItemTask`. A signature's arguments follow the payload: `resize.s(width=9)`
    is called as `resize(payload, width=9)`. The callback is called with `{"job", "run", "status"}`
    once per run, also if items have failed or the job was canceled; read the rest from the ledger.

    Returns the job, for `progress`, `cancel` and the others. The policy's `failures_max` is by
    default one more than the task's `max_retries`, and its `lease_seconds` 60. Inside a
    transaction, job and messages belong to that transaction. Raises as `submit` does, and
    InvalidInput for another kind of task.
    """
    member = _signature(task, "task")
    config = {"celery": {**_stored(member), "callback": None}}
    if callback is not None:
        wanted = _signature(callback, "callback")
        config["celery"]["callback"] = {**_stored(wanted), "policy": _policy(wanted.type, None)}
    job = submit(
        name or member.task,
        items,
        pipeline=hints.pipeline_of(member.task),
        project=project,
        priority=priority,
        config=config,
        policy=_policy(member.type, policy),
        idempotency_key=idempotency_key,
        actor=actor,
    )
    transaction.on_commit(partial(hints.send, member.type), using=alias())
    return job


def _signature(given: Task | Signature, what: str) -> Signature:
    signature = given if isinstance(given, Signature) else given.s()
    if not isinstance(signature.type, ItemTask):
        raise InvalidInput(
            f"{what}: expected a task declared with base=ItemTask, got {signature.task}"
        )
    return signature


def _stored(signature: Signature) -> dict[str, Any]:
    return {
        "task": signature.task,
        "args": list(signature.args),
        "kwargs": dict(signature.kwargs),
        "immutable": bool(signature.immutable),
    }


def _policy(task: Task, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Also on the callback's, which has one item: if that fails, so has its job."""
    usual: dict[str, Any] = {"lease_seconds": LEASE_SECONDS}
    if isinstance(task.max_retries, int):
        usual["failures_max"] = min(task.max_retries + 1, 1_000)
    return {**usual, **(given or {})}
