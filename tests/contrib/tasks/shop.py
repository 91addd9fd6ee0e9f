"""Tasks, as a project's `tasks.py` has them. Imported once `settings.TASKS` is set."""

from __future__ import annotations

from typing import Any

from joblot.contrib.tasks.framework import TaskContext, task
from joblot.errors import RetryableError

calls: list[Any] = []


class NotPaid(Exception):
    """An error of the project."""


@task
def add(a: int, b: int = 0) -> int:
    calls.append((a, b))
    return a + b


@task(priority=7, queue_name="default")
def urgent(name: str) -> None:
    calls.append(name)


@task
async def later(name: str) -> str:
    calls.append(name)
    return name


@task
def give(value: Any) -> Any:
    return {"given": value, "pair": (1, 2)}


@task
def return_object() -> Any:
    return object()


@task
def fail(message: str) -> None:
    raise NotPaid(message)


@task
def fail_in_python() -> None:
    raise KeyError("x")


@task(takes_context=True)
def attempts(context: TaskContext[Any, Any], succeeds_at: int) -> int:
    calls.append((context.attempt, list(context.task_result.worker_ids)))
    if context.attempt < succeeds_at:
        raise RetryableError(f"attempt {context.attempt}")
    return context.attempt


@task
def large(letters: int) -> str:
    return "x" * letters


def plain() -> None:
    """Not a task."""
