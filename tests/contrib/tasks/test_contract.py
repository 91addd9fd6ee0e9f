"""What Django documents of every back-end, on joblot's and on Django's own.

Django's `ImmediateBackend` runs a task in `enqueue`, its `DummyBackend` runs none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from joblot.contrib.tasks.framework import (
    InvalidTask,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from tests.contrib.tasks.conftest import Workers

ANY = ["default", "immediate", "dummy"]
RUNNING = ["default", "immediate"]


@dataclass
class World:
    """A back-end. `ran` lets it run what is enqueued, and returns the result as it is then."""

    alias: str
    workers: Workers

    def __call__(self, name: str, **options: Any) -> Any:
        from tests.contrib.tasks import shop

        return getattr(shop, name).using(backend=self.alias, **options)

    def ran(self, result: TaskResult[Any, Any]) -> TaskResult[Any, Any]:
        if self.alias == "default":
            self.workers.run()
            result.refresh()
        return result


@pytest.fixture
def world(request: pytest.FixtureRequest, workers: Workers) -> World:
    return World(request.param, workers)


of_any = pytest.mark.parametrize("world", ANY, indirect=True)
of_running = pytest.mark.parametrize("world", RUNNING, indirect=True)


@of_any
def test_a_result_says_what_was_enqueued(world: World) -> None:
    task = world("add")
    one, two = task.enqueue(1, b=2), task.enqueue(1, b=2)
    assert (one.task, one.args, one.kwargs, one.backend) == (task, [1], {"b": 2}, world.alias)
    assert isinstance(one.enqueued_at, datetime)
    assert isinstance(one.id, str)
    assert one.id != two.id
    if world.alias != "immediate":
        assert (one.status, one.attempts, one.errors) == (TaskResultStatus.READY, 0, [])
        assert (one.started_at, one.last_attempted_at, one.finished_at) == (None, None, None)
        assert not one.is_finished
        with pytest.raises(ValueError, match="has not finished"):
            _ = one.return_value


@of_any
def test_arguments_become_json(world: World) -> None:
    result = world("give").enqueue(("a", b"b", {"c": [None, 1.5, True]}))
    assert result.args == [["a", "b", {"c": [None, 1.5, True]}]]


@of_any
@pytest.mark.parametrize("value", [object(), {1, 2}, datetime.now(UTC)])
def test_arguments_that_are_not_json_are_refused(world: World, value: Any) -> None:
    with pytest.raises(TypeError, match="Unsupported type"):
        world("give").enqueue(value)


@of_any
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("add", {"queue_name": "no such"}, "Queue 'no such' is not valid"),
        ("add", {"priority": 101}, "priority must be a whole number"),
        ("add", {"priority": 1.5}, "priority must be a whole number"),
    ],
)
def test_what_a_back_end_does_not_support_is_refused(
    world: World, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidTask, match=message):
        world(name, **options)


@pytest.mark.parametrize("world", ["default", "dummy"], indirect=True)
def test_a_deferred_task_has_an_aware_time(world: World) -> None:
    with pytest.raises(InvalidTask, match="aware"):
        world("add", run_after=datetime.now(UTC).replace(tzinfo=None))


@of_any
def test_a_task_is_a_function_of_a_module(world: World) -> None:
    def inner() -> None:
        """Can't be imported."""

    kind = task_backends[world.alias].task_class
    with pytest.raises(InvalidTask, match="module level"):
        kind(func=inner, backend=world.alias)


@of_any
def test_a_task_is_enqueued_from_async_code(world: World) -> None:
    result = async_to_sync(world("add").aenqueue)(1, b=2)
    assert result.args == [1]


@of_running
def test_a_task_returns(world: World) -> None:
    result = world.ran(world("give").enqueue("x"))
    assert (result.status, result.is_finished) == (TaskResultStatus.SUCCESSFUL, True)
    assert result.return_value == {"given": "x", "pair": [1, 2]}
    assert result.started_at == result.last_attempted_at
    times = [result.enqueued_at, result.started_at, result.finished_at]
    assert times == sorted(times, key=str)
    assert (result.attempts, result.errors) == (1, [])


@of_running
def test_an_async_task_returns(world: World, calls: list[Any]) -> None:
    assert world.ran(world("later").enqueue("x")).return_value == "x"
    assert calls == ["x"]


@of_running
@pytest.mark.parametrize(
    ("name", "args", "path", "text"),
    [
        ("fail", ["no money"], "tests.contrib.tasks.shop.NotPaid", "no money"),
        ("fail_in_python", [], "builtins.KeyError", "KeyError: 'x'"),
        ("return_object", [], "builtins.TypeError", "Unsupported type"),
    ],
)
def test_a_task_fails(world: World, name: str, args: list[Any], path: str, text: str) -> None:
    result = world.ran(world(name).enqueue(*args))
    assert (result.status, result.is_finished) == (TaskResultStatus.FAILED, True)
    (error,) = result.errors
    assert error.exception_class_path == path
    assert issubclass(error.exception_class, Exception)
    assert text in error.traceback
    assert error.traceback.startswith("Traceback (most recent call last):")
    assert result.attempts == 1
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


@of_running
def test_a_task_knows_its_attempt(world: World, calls: list[Any]) -> None:
    result = world.ran(world("attempts").enqueue(1))
    assert result.return_value == 1
    assert calls == [(1, result.worker_ids)]


@of_running
@pytest.mark.parametrize(("name", "status"), [("add", "SUCCESSFUL"), ("fail", "FAILED")])
def test_signals_are_sent_in_order(world: World, name: str, status: str) -> None:
    sent: list[tuple[str, type, str, str]] = []

    def note(signal: Any, sender: type, task_result: Any, **_: Any) -> None:
        sent.append((names[signal], sender, task_result.id, task_result.status))

    names = {task_enqueued: "enqueued", task_started: "started", task_finished: "finished"}
    for signal in names:
        signal.connect(note)
    try:
        result = world.ran(world(name).enqueue(1))
    finally:
        for signal in names:
            signal.disconnect(note)
    kind = type(task_backends[world.alias])
    assert sent == [
        ("enqueued", kind, result.id, "READY"),
        ("started", kind, result.id, "RUNNING"),
        ("finished", kind, result.id, status),
    ]


@pytest.mark.parametrize("world", ["default", "dummy"], indirect=True)
def test_a_result_is_found_by_its_id(world: World) -> None:
    task = world("add")
    known = task.enqueue(1, b=2)
    found = task.get_result(known.id)
    assert found == known
    assert async_to_sync(task.aget_result)(known.id) == known
    known.refresh()
    async_to_sync(known.arefresh)()
    with pytest.raises(TaskResultDoesNotExist):
        task.get_result("unknown")


@pytest.mark.parametrize("world", ["default", "dummy"], indirect=True)
def test_a_result_of_another_task_is_refused(world: World) -> None:
    from tests.contrib.tasks import shop

    result = world("add").enqueue(1)
    with pytest.raises(Exception, match="does not match"):
        shop.give.using(backend=world.alias).get_result(result.id)
