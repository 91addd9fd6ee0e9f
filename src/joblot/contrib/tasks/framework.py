"""Django's tasks framework: part of Django from 6.0 on, the package django-tasks before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import django
from django.core.exceptions import ImproperlyConfigured

__all__ = [
    "TASK_MAX_PRIORITY",
    "TASK_MIN_PRIORITY",
    "BaseTaskBackend",
    "InvalidTask",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "normalize_json",
    "task",
    "task_backends",
    "task_enqueued",
    "task_finished",
    "task_started",
]

if TYPE_CHECKING:
    from django.tasks import task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import (
        TASK_MAX_PRIORITY,
        TASK_MIN_PRIORITY,
        Task,
        TaskContext,
        TaskError,
        TaskResult,
        TaskResultStatus,
        task,
    )
    from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
    from django.tasks.signals import task_enqueued, task_finished, task_started
    from django.utils.json import normalize_json
else:
    IS_DJANGOS = django.VERSION >= (6, 0)
    _name = "django.tasks" if IS_DJANGOS else "django_tasks"
    try:
        task_backends = import_module(_name).task_backends
    except ModuleNotFoundError as error:
        if error.name != _name:
            raise
        raise ImproperlyConfigured(
            f"joblot.contrib.tasks: Django {django.__version__} has no tasks; expected Django 6.0 "
            "or newer, or the package django-tasks: pip install 'joblot[tasks]'"
        ) from error
    BaseTaskBackend = import_module(f"{_name}.backends.base").BaseTaskBackend
    _base = import_module(f"{_name}.base")
    task, Task, TaskContext = _base.task, _base.Task, _base.TaskContext
    TaskError = _base.TaskError
    TASK_MIN_PRIORITY, TASK_MAX_PRIORITY = _base.TASK_MIN_PRIORITY, _base.TASK_MAX_PRIORITY
    TaskResult, TaskResultStatus = _base.TaskResult, _base.TaskResultStatus
    _exceptions = import_module(f"{_name}.exceptions")
    InvalidTask = getattr(_exceptions, "InvalidTask" if IS_DJANGOS else "InvalidTaskError")
    TaskResultDoesNotExist = _exceptions.TaskResultDoesNotExist
    _signals = import_module(f"{_name}.signals")
    task_enqueued, task_started = _signals.task_enqueued, _signals.task_started
    task_finished = _signals.task_finished
    _json = "django.utils.json" if IS_DJANGOS else "django_tasks.utils"
    normalize_json = import_module(_json).normalize_json
