"""The base class of tasks that work on items."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Any

from celery import Task
from celery.exceptions import Retry

from joblot.contrib.celery import hints
from joblot.contrib.celery.working import Asked, work_for

# Threads and greenlets: each has its own value.
_asked: ContextVar[Asked | None] = ContextVar("joblot_asked", default=None)
# The message of the item. With `task_always_eager`, the item's code may run another message.
_message: ContextVar[str | None] = ContextVar("joblot_message", default=None)


class ItemTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task for `fan_out`: `@shared_task(base=ItemTask)`.

    It is called with an item's payload, or its key if there is none. What it returns is the item's
    output, and an exception fails the item. `self.retry` and `autoretry_for` ask for another
    attempt, which the job's policy grants and delays: `failures_max`, `retry_backoff_seconds`.
    Called or sent as any other task, it is any other task.
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if hints.is_hint(self.request) and not self._is_in_item():
            return work_for(self, self._work)
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)
        return self.run(*args, **kwargs)

    def _work(self, asked: Asked, *args: Any, **kwargs: Any) -> Any:
        token, message = _asked.set(asked), _message.set(self.request.id)
        try:
            return self.run(*args, **kwargs)
        finally:
            _message.reset(message)
            _asked.reset(token)

    def _is_in_item(self) -> bool:
        """Whether this message's item is being worked on."""
        return bool(_message.get() == self.request.id)

    def retry(self, *args: Any, exc: BaseException | None = None, **options: Any) -> Any:
        """In an item, raise the error and have the item tried again; else as Celery does."""
        asked = _asked.get()
        if asked is None or not (self.request.called_directly or self._is_in_item()):
            return super().retry(*args, exc=exc, **options)
        error = exc or sys.exception() or Retry("the task asks for another attempt")
        asked.note(error)
        raise error
