"""With `task_always_eager`, as in tests: all is worked on, and kept, before `fan_out` returns."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase

from joblot.contrib.celery import fan_out
from joblot.ledger.read.items import outputs
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.progress import progress
from joblot.models import Job
from tests.contrib.celery.conftest import World


@pytest.fixture
def eager(world: World) -> World:
    world.app.conf.task_always_eager = True
    return world


@contextmanager
def in_test_case(using: str) -> Iterator[None]:
    """The transaction of a TestCase, whose end runs nothing of what waits for a commit."""
    block = transaction.atomic(using=using)
    block._from_testcase = True  # type: ignore[attr-defined] # as Django's TestCase does
    with block:
        yield
        transaction.set_rollback(True, using=using)
    assert not Job.objects.exists()


def failing(world: World) -> Any:
    def says(payload: str) -> None:
        sys.stdout.write(f"looks at {payload}\n")
        raise ValueError(payload)

    return world.task("says", says)


def printed(job: int) -> list[str]:
    return [one["message"] for one in logs(job, limit=100) if one["source"] == "printed"]


def test_a_task_that_fans_out_has_the_inner_items_worked_on_too(eager: World) -> None:
    inner: list[Job] = []

    def fans_out(payload: str) -> str:
        inner.append(fan_out(eager.member, [{"key": "x", "payload": payload}]))
        return payload

    outer = fan_out(eager.task("outer", fans_out), ["a"])
    assert list(outputs(outer.pk)) == [("a", "a")]
    assert list(outputs(inner[0].pk)) == [("x", "a")]
    assert eager.calls == {"a": 1}


@pytest.mark.parametrize("in_a_test_case", [False, True])
def test_what_a_failed_item_prints_is_in_the_log_at_once(
    eager: World, ledger_db: str, in_a_test_case: bool
) -> None:
    with in_test_case(ledger_db) if in_a_test_case else nullcontext():
        with TestCase.captureOnCommitCallbacks(using=ledger_db, execute=in_a_test_case):
            job = fan_out(failing(eager), ["a"], policy={"failures_max": 1})
        assert progress(job.pk)["status"] == "FAILURE"
        assert printed(job.pk) == ["looks at a"]


def test_a_task_that_is_called_in_an_item_gets_its_own_arguments(eager: World) -> None:
    """Also by itself, in which case Celery's request is still that of the item."""

    def halves(payload: int) -> int:
        return payload if payload % 2 else task(payload // 2)

    task = eager.task("halves", halves)
    job = fan_out(task, [{"key": "x", "payload": 12}])
    assert list(outputs(job.pk)) == [("x", 3)]


def test_an_ordinary_task_sent_in_an_item_is_retried_by_celery(eager: World) -> None:
    tries: list[int] = []

    def asks(self: Any) -> int:
        tries.append(self.request.retries)
        if len(tries) == 1:
            raise self.retry()
        return len(tries)

    def sends(payload: str) -> int:
        return int(ordinary.delay().get(disable_sync_subtasks=False))

    ordinary = eager.task("asks", asks, bind=True)
    job = fan_out(eager.task("sends", sends), ["a"])
    assert list(outputs(job.pk)) == [("a", 2)]
    assert tries == [0, 1]
