"""With `task_always_eager`, as in tests: all is worked on, and kept, before `fan_out` returns."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.contrib.celery import fan_out
from joblot.ledger.read.items import outputs
from joblot.models import Job
from tests.contrib.celery.conftest import World


@pytest.fixture
def eager(world: World) -> World:
    world.app.conf.task_always_eager = True
    return world


def test_a_task_that_fans_out_has_the_inner_items_worked_on_too(eager: World) -> None:
    inner: list[Job] = []

    def fans_out(payload: str) -> str:
        inner.append(fan_out(eager.member, [{"key": "x", "payload": payload}]))
        return payload

    outer = fan_out(eager.task("outer", fans_out), ["a"])
    assert list(outputs(outer.pk)) == [("a", "a")]
    assert list(outputs(inner[0].pk)) == [("x", "a")]
    assert eager.calls == {"a": 1}


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
