"""TaskResult, as the ledger has it: its job's status, its item's tries and outcome."""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from joblot import errors
from joblot.contrib.tasks.calls import Call
from joblot.contrib.tasks.errors import TaskCanceled, TaskLost
from joblot.contrib.tasks.framework import (
    InvalidTask,
    Task,
    TaskError,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
)
from joblot.errors import NotFound
from joblot.ledger.db.transactions import alias
from joblot.ledger.read.item import item
from joblot.ledger.rows.job import read_job
from joblot.ledger.rows.outputs import output_of
from joblot.models import Item, Job

Json = Mapping[str, Any]

_ID = re.compile(r"[0-9a-f]{32}")  # of every result

_STATUS = {
    "ready": TaskResultStatus.READY,
    "waiting": TaskResultStatus.READY,
    "in_flight": TaskResultStatus.RUNNING,
    "succeeded": TaskResultStatus.SUCCESSFUL,
}  # any other state is a failure: failed, lost, canceled


def new_result(
    task: Task[Any, Any], id_: str, backend: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> TaskResult[Any, Any]:
    """The result of a task that has not run. Raises TypeError for arguments that are not JSON."""
    return TaskResult(
        task=task,
        id=id_,
        status=TaskResultStatus.READY,
        enqueued_at=None,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=list(args),
        kwargs=dict(kwargs),
        backend=backend,
        errors=[],
        worker_ids=[],
    )


def change(result: TaskResult[Any, Any], **values: Any) -> None:
    """A result is frozen for its readers; back-ends set its fields."""
    for name, value in values.items():
        object.__setattr__(result, name, value)


def read_result(backend: str, id_: str) -> TaskResult[Any, Any]:
    """The result with this id. Raises TaskResultDoesNotExist, InvalidTask, ImportError."""
    if not _ID.fullmatch(str(id_)):
        raise TaskResultDoesNotExist(id_)
    rows = Item.objects.using(alias()).filter(key=id_).order_by("job_id")
    place = rows.values_list("job_id", "number").first()
    try:
        if place is None:
            raise TaskResultDoesNotExist(id_)
        job, found = read_job(place[0]), item(*place)
        call = Call.read(found["payload"])
    except (NotFound, InvalidTask):
        raise TaskResultDoesNotExist(id_) from None
    if call.backend != backend or len(found["stages"]) != 1:
        raise TaskResultDoesNotExist(id_)
    result = new_result(call.found(job.priority), id_, backend, call.args, call.kwargs)
    _fill(result, job, found)
    return result


def _fill(result: TaskResult[Any, Any], job: Job, found: Json) -> None:
    (stage,) = found["stages"]
    tried = [one for one in found["tries"] if one["leased_at"] is not None]
    begun = [(one["leased_at"], one["worker"]) for one in tried]
    if stage["state"] == "in_flight":
        begun.append((stage["since"], stage["worker"]))
    change(
        result,
        status=_STATUS.get(stage["state"], TaskResultStatus.FAILED),
        enqueued_at=job.created_at,
        started_at=datetime.fromisoformat(begun[0][0]) if begun else None,
        last_attempted_at=datetime.fromisoformat(begun[-1][0]) if begun else None,
        errors=[_error(one) for one in found["tries"] if one["outcome"] != "succeeded"],
        worker_ids=[worker for _, worker in begun],
    )
    if not result.is_finished:
        return
    change(result, finished_at=job.finished_at)
    if found["outcomes"]:
        (outcome,) = found["outcomes"]
        change(
            result,
            finished_at=datetime.fromisoformat(outcome["settled_at"]),
            _return_value=output_of(outcome["output"], outcome["output_ref"]),
        )
    else:
        result.errors.append(_told(TaskCanceled, "its job was canceled"))


def _error(failed: Json) -> TaskError:
    error = failed["error"]
    if failed["outcome"] != "failed":
        return _told(TaskLost, failed["reason"])
    path = class_path(error["type"])
    return TaskError(
        exception_class_path=path,
        traceback=error["traceback"] or f"{path}: {error['message']}",
    )


def _told(kind: type[Exception], why: str) -> TaskError:
    path = f"{kind.__module__}.{kind.__qualname__}"
    return TaskError(exception_class_path=path, traceback=f"{path}: {why}")


def class_path(kind: str) -> str:
    """The path of a class by the type of an error, which has no module if it is Python's own or
    joblot's.
    """
    if "." in kind:
        return kind
    module = errors if kind in errors.__all__ else builtins
    return f"{module.__name__}.{kind if hasattr(module, kind) else 'Exception'}"
