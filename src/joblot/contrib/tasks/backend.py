"""The back-end that a project names in `settings.TASKS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.core.checks import CheckMessage, Error

from joblot.config import default_policy, limits
from joblot.contrib.tasks import results
from joblot.contrib.tasks.calls import Call, pipeline_of
from joblot.contrib.tasks.framework import (
    BaseTaskBackend,
    Task,
    TaskResult,
    TaskResultStatus,
    task_backends,
    task_enqueued,
)
from joblot.errors import InvalidPolicy
from joblot.ledger.submit.one import submit_one
from joblot.policy import Policy

APP = "joblot.contrib.tasks"
OPTIONS = ("policy", "project")
LEASE_SECONDS = 60.0  # how long a task waits whose worker was killed, unless the policy says


class JoblotBackend(BaseTaskBackend):
    """Each enqueued task is a job of one item, in the pipeline of its queue: "tasks:default".

    `OPTIONS` may have a `project` for these jobs, and a `policy`, which says how often and when a
    task is tried again. A task whose function raises RetryableError, or lost a connection, is tried
    again; any other exception fails it.
    """

    task_class = Task
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.project: str = self.options.get("project", "default")
        self.policy: Mapping[str, Any] = {
            "lease_seconds": LEASE_SECONDS,
            **self.options.get("policy", {}),
        }

    def enqueue(
        self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult[Any, Any]:
        """Submit the task. Inside a transaction, it exists only if that transaction commits.

        Raises InvalidTask, TypeError for arguments that are not JSON, InvalidItem if they are too
        large, and Unavailable.
        """
        self.validate_task(task)
        result = results.new_result(task, uuid4().hex, self.alias, args, kwargs)
        job = submit_one(
            task.module_path[-limits().name_chars_max :],
            {
                "key": result.id,
                "payload": Call.of(task, result.args, result.kwargs).payload(),
            },
            pipeline=pipeline_of(task.queue_name),
            project=self.project,
            priority=task.priority,
            policy=self.policy,
            not_before=task.run_after,
        )
        results.change(result, status=TaskResultStatus.READY, enqueued_at=job.created_at)
        task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult[Any, Any]:
        """As it is now. Raises TaskResultDoesNotExist, also once its job was deleted."""
        return results.read_result(self.alias, result_id)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """The app is installed, the queues are named, and the options are valid."""
        found = [] if apps.is_installed(APP) else [_not_installed()]
        if not self.queues:
            found.append(self._error("QUEUES", "expected names, got none", "E008"))
        if unknown := sorted(set(self.options) - set(OPTIONS)):
            known = " and ".join(OPTIONS)
            found.append(
                self._error("OPTIONS", f"expected {known}, got also {unknown[0]!r}", "E009")
            )
        try:
            Policy.of(self.policy, default_policy())
        except InvalidPolicy as error:
            found.append(self._error('OPTIONS["policy"]', str(error), "E010"))
        return found

    def _error(self, where: str, what: str, number: str) -> CheckMessage:
        return Error(f'TASKS["{self.alias}"]: {where}: {what}', id=f"joblot.{number}")


def _not_installed() -> CheckMessage:
    return Error(
        f"TASKS has a back-end of joblot, but {APP} is not in INSTALLED_APPS, so no worker would "
        "run its tasks",
        hint=f'Add "{APP}" to INSTALLED_APPS.',
        id="joblot.E007",
    )


def queues() -> list[str]:
    """The queues of all back-ends of joblot in the settings."""
    mine = [one for one in task_backends.all() if isinstance(one, JoblotBackend)]
    return sorted({queue for one in mine for queue in one.queues})
