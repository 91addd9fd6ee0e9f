"""What joblot's back-end promises beyond Django's contract: transactions, attempts, retention."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from joblot.clock import set_clock
from joblot.contrib.tasks import TaskCanceled, TaskLost
from joblot.contrib.tasks.framework import (
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
    task_finished,
    task_started,
)
from joblot.errors import InvalidItem
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.edit import edit
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.causes import causes
from joblot.ledger.submit.submit import submit
from joblot.models import Event, Item, Job
from joblot.project.declared_work import handlers_of_project
from joblot.states import Receipt
from joblot.worker import handlers
from joblot.worker.retrying import Retrying
from tests.contrib.tasks.conftest import TASKS, Workers
from tests.threads import Threads

REAL = "tests.contrib.tasks.shop.add"
STATEMENTS_MAX = 6  # and BEGIN and COMMIT


@pytest.fixture
def shop(ledger_db: str) -> Any:
    from tests.contrib.tasks import shop

    return shop


def test_a_task_is_enqueued_if_and_only_if_the_transaction_commits(
    ledger_db: str, shop: Any, workers: Workers, calls: list[Any]
) -> None:
    with transaction.atomic(using=ledger_db):
        lost = shop.add.enqueue(1)
        transaction.set_rollback(True, using=ledger_db)
    with transaction.atomic(using=ledger_db):
        kept = shop.add.enqueue(2)
    assert workers.run() == 1
    assert calls == [(2, 0)]
    assert shop.add.get_result(kept.id).return_value == 2
    with pytest.raises(TaskResultDoesNotExist):
        shop.add.get_result(lost.id)


def test_transactions_that_enqueue_do_not_wait_for_each_other(
    postgres_only: str, shop: Any, workers: Workers, in_thread: Threads
) -> None:
    with transaction.atomic(using=postgres_only):
        shop.add.enqueue(1)
        in_thread(shop.add.enqueue, 2).result()
        assert in_thread(workers.run).result() == 1
    assert workers.run() == 1


def test_to_enqueue_takes_few_statements(ledger_db: str, shop: Any) -> None:
    shop.add.enqueue(1)
    with CaptureQueriesContext(connections[ledger_db]) as queries:
        shop.add.enqueue(1)
    texts = [one["sql"] for one in queries.captured_queries]
    assert (
        len([one for one in texts if one.split()[0] not in ("BEGIN", "COMMIT")]) <= STATEMENTS_MAX
    )
    assert not [one for one in texts if "FOR UPDATE" in one or one.startswith("UPDATE")]


def test_a_running_task_says_by_whom(shop: Any, workers: Workers) -> None:
    result = shop.add.enqueue(1)
    lease = workers.take(worker="w7")
    result.refresh()
    assert (result.status, result.worker_ids) == (TaskResultStatus.RUNNING, ["w7"])
    assert result.started_at == result.last_attempted_at
    assert result.enqueued_at <= result.started_at
    assert result.finished_at is None
    assert lease is not None
    workers.finish(lease)
    result.refresh()
    assert (result.status, result.worker_ids) == (TaskResultStatus.SUCCESSFUL, ["w7"])


def test_a_task_is_tried_again_with_the_errors_of_its_attempts(
    shop: Any, workers: Workers, calls: list[Any]
) -> None:
    sent: list[str] = []

    def note(task_result: Any, **_: Any) -> None:
        sent.append(f"{task_result.status} {task_result.attempts} {len(task_result.errors)}")

    task_started.connect(note)
    task_finished.connect(note)
    try:
        result = shop.attempts.enqueue(3)
        assert workers.run() == 3
    finally:
        task_started.disconnect(note)
        task_finished.disconnect(note)
    assert calls == [(1, ["w1"]), (2, ["w1", "w2"]), (3, ["w1", "w2", "w3"])]
    assert sent == ["RUNNING 1 0", "RUNNING 2 1", "RUNNING 3 2", "SUCCESSFUL 3 2"]
    result.refresh()
    assert (result.return_value, result.attempts) == (3, 3)
    assert result.started_at < result.last_attempted_at <= result.finished_at
    assert [error.exception_class_path for error in result.errors] == [
        "joblot.errors.RetryableError"
    ] * 2
    assert "attempt 2" in result.errors[1].traceback


def test_a_task_whose_attempts_are_used_up_has_failed(shop: Any, workers: Workers) -> None:
    sent: list[Any] = []

    def note(task_result: Any, **_: Any) -> None:
        sent.append(task_result.status)

    task_finished.connect(note)
    try:
        result = shop.attempts.enqueue(99)
        assert workers.run() == 3
    finally:
        task_finished.disconnect(note)
    result.refresh()
    assert (result.status, len(result.errors)) == (TaskResultStatus.FAILED, 3)
    assert sent == [TaskResultStatus.FAILED]
    retry(Job.objects.get().pk)
    result.refresh()
    assert result.status == TaskResultStatus.READY
    assert workers.take() is not None


def test_a_worker_that_does_not_have_the_task_yet_leaves_it_to_others(
    shop: Any, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = shop.add.enqueue(1)
    lease = workers.take()
    assert lease is not None
    with monkeypatch.context() as patched:
        patched.delattr(shop, "add")
        assert workers.finish(lease).receipt is Receipt.REQUEUED
    assert workers.run() == 1
    result.refresh()
    assert result.return_value == 1
    assert "this worker has no task tests.contrib.tasks.shop.add" in result.errors[0].traceback


def test_only_tasks_are_called(shop: Any, workers: Workers) -> None:
    task = {"task": "tests.contrib.tasks.shop.plain", "backend": "default", "queue": "default"}
    call: dict[str, Any] = {**task, "args": [], "kwargs": {}, "run_after": None}
    job = submit(
        "forged", [{"key": "a", "payload": {"django_task": call}}], pipeline="tasks:default"
    )
    stages = [{"name": one, "pipeline": one} for one in ("tasks:other", "p")]
    submit("two", [{"key": "c", "payload": {"django_task": call | {"task": REAL}}}], stages=stages)
    empty = submit("empty", ["b"], pipeline="tasks:default")
    assert workers.run() == 2
    (cause,) = causes(job.pk)["causes"]
    assert "expected a function with @task" in cause["message"]
    assert causes(empty.pk)["causes"][0]["type"].endswith(InvalidTask.__name__)
    for key in ("a", "b", "c"):
        with pytest.raises((TaskResultDoesNotExist, InvalidTask)):
            task_backends["default"].get_result(key)


def test_a_task_whose_worker_dies_is_run_again_and_is_lost_in_the_end(
    shop: Any, workers: Workers
) -> None:
    result = shop.add.enqueue(1)
    now = datetime.now(UTC)
    for _ in range(20):
        now += timedelta(days=1)
        with set_clock(now):
            if workers.take() is None:
                break
        with set_clock(now + timedelta(seconds=61)):
            sweep()
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert result.attempts > 1
    assert result.errors[-1].exception_class is TaskLost


def test_a_canceled_task_has_failed(shop: Any, workers: Workers, calls: list[Any]) -> None:
    result = shop.add.enqueue(1)
    cancel(Job.objects.get().pk)
    result.refresh()
    assert (result.status, calls) == (TaskResultStatus.FAILED, [])
    (error,) = result.errors
    assert error.exception_class is TaskCanceled
    assert result.finished_at is not None
    assert workers.take() is None


def test_a_worker_has_one_task_at_a_time(shop: Any, ledger_db: str) -> None:
    shop.add.enqueue(1)
    shop.add.enqueue(2)
    (lease,) = claim("tasks:default", 16).leases
    assert len(lease.items) == 1


def test_urgent_tasks_are_run_first(shop: Any, workers: Workers, calls: list[Any]) -> None:
    for priority, name in [(0, "c"), (-5, "d"), (100, "a"), (7, "b")]:
        shop.urgent.using(priority=priority).enqueue(name)
    assert workers.run() == 4
    assert calls == ["a", "b", "c", "d"]
    assert shop.urgent.get_result(Item.objects.order_by("job_id")[2].key).task.priority == 100


def test_a_job_may_have_a_priority_that_a_task_may_not(shop: Any, workers: Workers) -> None:
    result = shop.add.enqueue(1)
    edit(Job.objects.get().pk, priority=500)
    assert shop.add.get_result(result.id).task.priority == 100
    assert workers.run() == 1
    assert shop.add.get_result(result.id).return_value == 1


@pytest.mark.parametrize("id_", ["", "x\x00", "\ud800", "1" * 33, "Ω" * 32, 5, None])
def test_what_is_not_an_id_leads_to_no_result(shop: Any, workers: Workers, id_: Any) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        shop.add.get_result(id_)


def test_a_deferred_task_is_not_run_before_its_time(shop: Any, workers: Workers) -> None:
    after = datetime.now(UTC) + timedelta(hours=1)
    result = shop.add.using(run_after=after).enqueue(1)
    assert workers.take() is None
    result.refresh()
    assert (result.status, result.task.run_after) == (TaskResultStatus.READY, after)
    with set_clock(after - timedelta(seconds=1)):
        assert workers.take() is None
    with set_clock(after + timedelta(seconds=1)):
        assert workers.run() == 1
    assert shop.add.get_result(result.id).return_value == 1


def test_queues_are_served_apart_and_back_ends_have_their_own_results(
    shop: Any, workers: Workers
) -> None:
    mail = shop.add.using(queue_name="mail").enqueue(1)
    other = shop.add.using(backend="other").enqueue(2)
    assert workers.take("mail") is not None
    assert Job.objects.get(project="others").status == "PENDING"
    assert task_backends["other"].get_result(other.id).backend == "other"
    for backend, result in [("other", mail), ("default", other)]:
        with pytest.raises(TaskResultDoesNotExist):
            task_backends[backend].get_result(result.id)


def test_a_large_value_is_returned(
    shop: Any, workers: Workers, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    result = shop.large.enqueue(100_000)
    workers.run()
    result.refresh()
    assert result.return_value == "x" * 100_000
    with pytest.raises(InvalidItem, match="at most"):
        shop.give.enqueue("x" * 300_000)


def test_a_result_is_kept_until_its_job_is_deleted(shop: Any, workers: Workers) -> None:
    result = shop.add.enqueue(1)
    workers.run()
    delete(Job.objects.get().pk)
    with pytest.raises(TaskResultDoesNotExist):
        result.refresh()


def test_a_task_has_one_finished_event(shop: Any, workers: Workers) -> None:
    shop.add.enqueue(1)
    workers.run()
    kinds = Event.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["started", "claimed", "finished"]


def test_a_receiver_that_raises_harms_no_task(shop: Any, workers: Workers) -> None:
    def broken(**_: Any) -> None:
        raise ZeroDivisionError

    task_started.connect(broken)
    try:
        result = shop.add.enqueue(1)
        workers.run()
    finally:
        task_started.disconnect(broken)
    result.refresh()
    assert result.return_value == 1


def test_joblot_worker_serves_the_queues_of_the_settings(
    shop: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "_declared", [])
    monkeypatch.delitem(sys.modules, "joblot.contrib.tasks.work", raising=False)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "joblot.contrib.tasks"]
    served = [one.pipeline for one in handlers_of_project((), Retrying())]
    assert served == ["tasks:default", "tasks:mail"]


@pytest.mark.parametrize(
    ("installed", "changes", "expected"),
    [
        (True, {}, []),
        (False, {}, ["joblot.E007"]),
        (True, {"QUEUES": []}, ["joblot.E008"]),
        (True, {"OPTIONS": {"polici": {}}}, ["joblot.E009"]),
        (True, {"OPTIONS": {"policy": {"failures_max": 0}}}, ["joblot.E010"]),
    ],
)
def test_mistakes_in_the_settings_are_found_by_the_system_checks(
    settings: Any, installed: bool, changes: dict[str, Any], expected: list[str]
) -> None:
    if installed:
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "joblot.contrib.tasks"]
    settings.TASKS = {"default": {**TASKS["default"], **changes}}
    backend = task_backends["default"]
    assert [one.id for one in backend.check()] == expected
