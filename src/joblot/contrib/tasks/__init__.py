"""A back-end for Django's tasks: `enqueue` submits a job of one item, joblot's workers run it.

    TASKS = {"default": {"BACKEND": "joblot.contrib.tasks.JoblotBackend"}}

It needs Django 6.0, or the package django-tasks with an older one.
"""

from typing import TYPE_CHECKING

from joblot.lazy import lazily

if TYPE_CHECKING:
    from joblot.contrib.tasks.backend import JoblotBackend
    from joblot.contrib.tasks.errors import TaskCanceled, TaskLost
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot.contrib.tasks.backend": ["JoblotBackend"],
            "joblot.contrib.tasks.errors": ["TaskCanceled", "TaskLost"],
        },
    )

__all__ = ["JoblotBackend", "TaskCanceled", "TaskLost"]
