"""Dispatchers: whatever becomes of the task writes no status, and a stale message does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery.worker.state import revoked
from django.db import transaction

from joblot.contrib.celery import Dispatcher, dispatch
from joblot.errors import InvalidInput, NotFound
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.wire import success
from tests.contrib.celery.conftest import World
from tests.polling import eventually

KEYS = [f"k{n}" for n in range(5)]


class Dispatching:
    """A dispatcher that adds the items and fails as often as it is to."""

    def __init__(self, world: World, failures: int = 0, **options: Any) -> None:
        self.began = 0
        self._failures = failures
        self.task = world.app.task(
            name="feed", base=Dispatcher, bind=True, shared=False, **options
        )(self._feed())

    def _feed(self) -> Callable[..., None]:
        def feed(task: Any, job: int, keys: list[str]) -> None:
            self.began += 1
            add_items(job, keys)
            if self.began <= self._failures:
                raise ConnectionError("the storage is away")
            seal(job)

        return feed


@pytest.fixture
def job(ledger_db: str) -> int:
    return submit("fed", pipeline="p", seal=False).pk


def errors(job: int) -> list[str]:
    return [line["message"] for line in logs(job) if line["level"] == "error"]


def work_all(job: int) -> None:
    while leases := claim("p").leases:
        report(leases[0].token, [success(item.id) for item in leases[0].items])


def test_the_end_of_the_dispatcher_is_not_the_end_of_the_job(world: World, job: int) -> None:
    one = Dispatching(world)
    with world.working():
        sent = dispatch(one.task, job, KEYS)
        assert sent is not None
        eventually(lambda: progress(job)["sealed"])
    assert progress(job)["status"] == "PENDING"
    assert progress(job)["stages"][0]["total"] == 5
    work_all(job)
    assert progress(job)["status"] == "SUCCESS"


def test_a_dispatcher_that_fails_writes_no_status_and_what_it_added_is_worked_on(
    world: World, job: int
) -> None:
    one = Dispatching(world, failures=1)
    with world.working():
        dispatch(one.task, job, KEYS)
        eventually(lambda: errors(job))
        assert progress(job)["status"] == "PENDING"
        work_all(job)
        assert progress(job)["status"] == "STARTED"  # not sealed
        assert progress(job)["stages"][0]["succeeded"] == 5
        dispatch(one.task, job, KEYS)  # it adds nothing twice
        eventually(lambda: progress(job)["status"] == "SUCCESS")
    assert progress(job)["stages"][0]["total"] == 5
    assert errors(job) == ["feed failed: ConnectionError('the storage is away')"]


def test_a_dispatcher_that_is_revoked_writes_no_status(world: World, job: int) -> None:
    one = Dispatching(world)
    sent = dispatch(one.task, job, KEYS)
    assert sent is not None
    revoked.add(sent.id)
    again = dispatch(one.task, job, KEYS)
    assert again is not None
    with world.working(concurrency=1):
        eventually(lambda: progress(job)["sealed"])
    assert one.began == 1
    assert progress(job)["status"] == "PENDING"


@pytest.mark.parametrize("stale", ["canceled", "older run", "deleted"])
def test_a_stale_message_does_nothing(world: World, job: int, stale: str) -> None:
    one = Dispatching(world)
    dispatch(one.task, job, KEYS)
    add_items(job, ["first"])
    if stale == "older run":
        seal(job)
        (lease,) = claim("p").leases
        report(lease.token, [{"item": 0, "outcome": "failed"}])
        retry(job)
    else:
        cancel(job, grace_seconds=0)
    if stale == "deleted":
        from joblot.ledger.job.lifecycle import delete

        delete(job)
    other = submit("other", pipeline="q", seal=False).pk
    with world.working(concurrency=1):
        dispatch(one.task, other, KEYS)
        eventually(lambda: progress(other)["sealed"])
    assert one.began == 1
    if stale == "older run":
        assert progress(job)["run"] == 2
        assert progress(job)["stages"][0]["total"] == 1


def test_it_is_sent_after_the_commit(world: World, job: int, ledger_db: str) -> None:
    one = Dispatching(world)
    with transaction.atomic(using=ledger_db):
        assert dispatch(one.task, job, KEYS) is None
        assert world.published == []
    assert [name for name, _ in world.published] == ["feed"]


def test_celerys_own_retry_keeps_the_run(world: World, job: int) -> None:
    one = Dispatching(
        world, failures=2, autoretry_for=(ConnectionError,), retry_kwargs={"countdown": 0}
    )
    with world.working():
        dispatch(one.task, job, KEYS)
        eventually(lambda: progress(job)["sealed"])
    assert one.began == 3


def test_a_dispatcher_is_required(world: World, job: int) -> None:
    with pytest.raises(InvalidInput, match="base=Dispatcher"):
        dispatch(world.member, job)
    with pytest.raises(NotFound):
        dispatch(Dispatching(world).task, job + 1)


def test_it_is_an_ordinary_task_too(world: World, job: int) -> None:
    one = Dispatching(world)
    one.task(job, KEYS)
    assert progress(job)["sealed"]
