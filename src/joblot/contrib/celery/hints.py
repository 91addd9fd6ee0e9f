"""Messages that say that there may be work for a task. They name no job and no item.

Each of them lets a worker claim one item. One that has got an item is followed by another, sent
before the item is worked on, so that every free worker finds one. So the queue holds as many as
were sent at first, however many items there are. A message that is lost, late or delivered twice
costs a claim that finds nothing, or a delay until the sweep sends another.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from celery.app.task import extract_exec_options
from kombu.exceptions import OperationalError

logger = logging.getLogger("joblot.celery")

PREFIX = "celery:"
HEADER = "joblot_hint"  # seconds after which this and those that follow it expire; 0: never


def pipeline_of(task: str) -> str:
    """The pipeline of the items for a task."""
    return f"{PREFIX}{task}"


def is_hint(request: Any) -> bool:
    return HEADER in (request.headers or {})


def send(task: Task, *, countdown: float | None = None, expires: float = 0.0) -> None:
    """Publish one. A broker that does not answer is only logged: the sweep sends another."""
    options = {**extract_exec_options(task), "countdown": countdown, "ignore_result": True}
    options |= {"headers": {HEADER: expires}}
    if expires:
        options["expires"] = expires + (countdown or 0.0)
    if task.app.conf.task_always_eager:
        task.apply(**options)
        return
    try:
        task.app.send_task(task.name, task_type=task, **options)
    except OperationalError as error:
        logger.warning("%s: could not notify a free worker of new work: %s", task.name, error)


def follow(task: Task, *, countdown: float | None = None) -> None:
    """Publish one in place of the message that this task is working for."""
    send(task, countdown=countdown, expires=float(task.request.headers[HEADER]))
