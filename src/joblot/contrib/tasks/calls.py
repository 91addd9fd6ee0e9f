"""The call of a task, as the payload of an item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.utils.module_loading import import_string

from joblot.contrib.tasks.framework import (
    TASK_MAX_PRIORITY,
    TASK_MIN_PRIORITY,
    InvalidTask,
    Task,
)

PREFIX = "tasks:"


def pipeline_of(queue: str) -> str:
    """The pipeline of the tasks in a queue, also if several back-ends have a queue of this name."""
    return f"{PREFIX}{queue}"


@dataclass(frozen=True, slots=True)
class Call:
    """A task by its path, with its arguments, which are JSON."""

    task: str
    backend: str
    queue: str
    args: list[Any]
    kwargs: dict[str, Any]
    run_after: str | None

    @classmethod
    def of(cls, task: Task[Any, Any], args: list[Any], kwargs: dict[str, Any]) -> Self:
        after = None if task.run_after is None else task.run_after.isoformat()
        return cls(task.module_path, task.backend, task.queue_name, args, kwargs, after)

    @classmethod
    def read(cls, payload: Any) -> Self:
        """From the payload of an item. Raises InvalidTask if it has none of these calls."""
        known = payload.get("django_task") if isinstance(payload, Mapping) else None
        try:
            return cls(**known)  # type: ignore[arg-type]  # whatever it is
        except TypeError as error:
            raise InvalidTask("expected an item that `enqueue` has made") from error

    def payload(self) -> dict[str, Any]:
        return {
            "django_task": {
                "task": self.task,
                "backend": self.backend,
                "queue": self.queue,
                "args": self.args,
                "kwargs": self.kwargs,
                "run_after": self.run_after,
            }
        }

    def found(self, priority: int) -> Task[Any, Any]:
        """The task as it was enqueued, its priority within a task's bounds: that of the job may
        have been edited. Raises InvalidTask if the path leads to something else, or the settings
        allow no such task any more; ImportError if it leads nowhere.
        """
        task = import_string(self.task)
        if not isinstance(task, Task):
            raise InvalidTask(f"{self.task}: expected a function with @task, got {task!r:.200}")
        after = None if self.run_after is None else datetime.fromisoformat(self.run_after)
        bounded = max(TASK_MIN_PRIORITY, min(TASK_MAX_PRIORITY, priority))
        return task.using(
            priority=bounded, queue_name=self.queue, run_after=after, backend=self.backend
        )
