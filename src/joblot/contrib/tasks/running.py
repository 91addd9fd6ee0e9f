"""What a worker does with an item: it calls the task, and sends the signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone

from joblot.contrib.tasks.backend import JoblotBackend
from joblot.contrib.tasks.calls import Call
from joblot.contrib.tasks.framework import (
    Task,
    TaskContext,
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_finished,
    task_started,
)
from joblot.contrib.tasks.results import change, class_path, new_result, read_result
from joblot.errors import RetryableError
from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.job import policy_of, read_job
from joblot.models import Lease
from joblot.wire import ClaimedItem, Result
from joblot.worker.causes import Interrupted, kind_of, trace_of
from joblot.worker.current import lease
from joblot.worker.function import Work, each, whole
from joblot.worker.retrying import Retrying


def working(retrying: Retrying) -> Work:
    """The work of a queue's pipeline: one task after the other."""

    def work(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        for item in items:
            yield [_result(item, retrying)]

    return work


def _result(item: ClaimedItem, retrying: Retrying) -> Result:
    """What is reported. An error's type is the path of its class, so that it can be imported."""
    raised: list[BaseException] = []

    def called(item: ClaimedItem) -> Any:
        try:
            return _run(item, retrying)
        except BaseException as error:
            raised.append(error)
            raise

    ((result,),) = each(called, whole, retrying)([item])
    if result.error is None or not raised:
        return result
    return replace(result, error=replace(result.error, type=_type_of(raised[-1])))


def _run(item: ClaimedItem, retrying: Retrying) -> Any:
    attempt = _Attempt.begin(item, retrying)
    task, result = attempt.task, attempt.result
    task_started.send_robust(JoblotBackend, task_result=result)
    context: tuple[Any, ...] = (TaskContext(task_result=result),) if task.takes_context else ()
    try:
        value = normalize_json(task.call(*context, *result.args, **result.kwargs))
    except Interrupted:
        raise
    except BaseException as error:
        attempt.failed(error)
        raise
    attempt.succeeded(value)
    return value


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One call of a task. `failures_left` is how many more may fail, after this one."""

    task: Task[Any, Any]
    result: TaskResult[Any, Any]
    retrying: Retrying
    failures_left: int

    @classmethod
    def begin(cls, item: ClaimedItem, retrying: Retrying) -> _Attempt:
        job = read_job(lease().job)
        held = Lease.objects.using(alias()).get(pk=lease().token)
        call = Call.read(item.payload)
        try:
            task = call.found(job.priority)
        except ImportError as error:
            raise RetryableError(f"this worker has no task {call.task}: {error}") from error
        if item.attempt > 1:
            result = read_result(call.backend, item.key)
        else:
            result = new_result(task, item.key, call.backend, call.args, call.kwargs)
            change(result, enqueued_at=job.created_at, started_at=held.claimed_at)
            change(result, worker_ids=[held.worker])
        change(result, status=TaskResultStatus.RUNNING, last_attempted_at=held.claimed_at)
        ((_, _, failures, *_),) = held.ranges
        return cls(task, result, retrying, policy_of(job).failures_max - failures - 1)

    def failed(self, error: BaseException) -> None:
        """Send the signal in the handler of the error, unless there will be another attempt."""
        known = TaskError(exception_class_path=_path_of(error), traceback=trace_of(error))
        self.result.errors.append(known)
        if self.retrying.allows(error) and self.failures_left > 0:
            return
        self._finished(TaskResultStatus.FAILED)

    def succeeded(self, value: Any) -> None:
        change(self.result, _return_value=value)
        self._finished(TaskResultStatus.SUCCESSFUL)

    def _finished(self, status: TaskResultStatus) -> None:
        change(self.result, status=status, finished_at=timezone.now())
        task_finished.send_robust(JoblotBackend, task_result=self.result)


def _path_of(error: BaseException) -> str:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"


def _type_of(error: BaseException) -> str:
    """Without the module, if `class_path` knows it."""
    name, path = kind_of(error), _path_of(error)
    return name if class_path(name) == path else path
