"""`fan_out`: exact counts, and a callback that is called once, whatever becomes of the messages."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from celery.signals import before_task_publish, worker_process_shutdown
from celery.worker.state import revoked
from django.db import transaction

from joblot.contrib.celery import fan_out
from joblot.contrib.celery.hints import pipeline_of
from joblot.errors import InvalidInput
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.read.items import items, outputs
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.log_writing.printed import to_job_log
from joblot.log_writing.writer import writer
from joblot.models import Job
from joblot.states import TERMINAL
from joblot.wire import success
from tests.contrib.celery.conftest import World
from tests.polling import eventually

TWELVE = [{"key": f"k{n}", "payload": n} for n in range(12)]


def test_each_item_is_worked_on_and_then_the_callback(world: World) -> None:
    job = fan_out(world.member.s(scale=10), TWELVE, callback=world.callback)
    with world.working():
        eventually(lambda: world.called_back)
    assert progress(job.pk)["status"] == "SUCCESS"
    assert list(outputs(job.pk)) == [(f"k{n}", n * 10) for n in range(12)]
    assert world.calls == Counter(range(12))
    assert world.called_back == [{"job": job.pk, "run": 1, "status": "SUCCESS"}]
    assert world.purge() == 0
    world.sweep()  # it finds the callback submitted already
    assert Job.objects.count() == 2


def test_every_free_worker_finds_a_message_and_the_queue_stays_short(world: World) -> None:
    world.gate.clear()
    fan_out(world.member, TWELVE)
    with world.working(concurrency=4):
        eventually(lambda: len(world.calls) == 4)
        assert len(world.published) == 5  # the first, and one after each item
        world.gate.set()
        eventually(lambda: len(world.calls) == 12)


def test_messages_that_are_delivered_twice_count_once(world: World) -> None:
    def again(sender: str, body: Any, headers: dict[str, Any], **_: Any) -> None:
        with world.app.producer_pool.acquire() as producer:
            queue = world.app.conf.task_default_queue
            producer.publish(
                body, headers=headers, routing_key=queue, serializer="json", exchange=""
            )

    before_task_publish.connect(again, weak=False)
    try:
        job = fan_out(world.member, TWELVE, callback=world.callback)
        with world.working():
            eventually(lambda: world.called_back)
            eventually(lambda: world.purge() == 0)
    finally:
        before_task_publish.disconnect(again)
    assert progress(job.pk)["stages"][0]["succeeded"] == 12
    assert world.calls == Counter(range(12))
    assert len(world.called_back) == 1


def test_messages_that_are_lost_or_revoked_only_cost_time(world: World) -> None:
    job = fan_out(world.member, TWELVE, callback=world.callback)
    assert world.purge() == 1
    counted = 0

    def revoke(sender: str, headers: dict[str, Any], **_: Any) -> None:
        nonlocal counted
        counted += 1
        if counted % 2:
            revoked.add(headers["id"])

    before_task_publish.connect(revoke, weak=False)
    try:
        with world.working():
            world.ended(job.pk)
            world.sweep_until(lambda: world.called_back)
    finally:
        before_task_publish.disconnect(revoke)
    assert world.calls == Counter(range(12))
    assert len(world.called_back) == 1


def test_a_task_asks_for_another_attempt(world: World) -> None:
    calls: Counter[str] = Counter()

    def asks(self: Any, key: str) -> str:
        calls[key] += 1
        if calls[key] < 3:
            raise self.retry(exc=ValueError(f"{key} is not ready"), countdown=3600)
        return key

    def raises(key: str) -> None:
        calls[key] += 1
        raise KeyError(key)

    quick = {"retry_backoff_seconds": 0.01}
    asking = fan_out(world.task("asks", asks, bind=True), ["a"], policy=quick)
    automatic = world.task("raises", raises, autoretry_for=(KeyError,), max_retries=1)
    raising = fan_out(automatic, ["b"], policy=quick, callback=world.callback)
    with world.working():
        assert world.ended(asking.pk)["status"] == "SUCCESS"
        assert world.ended(raising.pk)["status"] == "FAILURE"
        eventually(lambda: world.called_back)
    assert calls == {"a": 3, "b": 2}
    assert world.called_back == [{"job": raising.pk, "run": 1, "status": "FAILURE"}]
    (item,) = items(raising.pk)
    assert item["outcomes"][0]["error"]["type"] == "KeyError"


def test_a_queued_message_of_a_canceled_job_does_nothing(world: World) -> None:
    job = fan_out(world.member, TWELVE, callback=world.callback)
    cancel(job.pk, grace_seconds=0)
    with world.working():
        assert world.ended(job.pk)["status"] == "REVOKED"
        world.sweep_until(lambda: world.called_back)
    assert world.calls == Counter()
    assert world.called_back == [{"job": job.pk, "run": 1, "status": "REVOKED"}]


def test_each_run_has_its_callback(world: World) -> None:
    broken = True

    def fails(key: str) -> str:
        if broken:
            raise ValueError(key)
        return key

    job = fan_out(world.task("fails", fails), ["a"], callback=world.callback)
    with world.working():
        eventually(lambda: len(world.called_back) == 1)
        broken = False
        retry(job.pk)
        world.sweep_until(lambda: len(world.called_back) == 2)
    assert [(one["run"], one["status"]) for one in world.called_back] == [
        (1, "FAILURE"),
        (2, "SUCCESS"),
    ]


def test_a_callback_that_fails_is_retried(world: World) -> None:
    tries: list[int] = []

    def picky(self: Any, about: dict[str, Any]) -> None:
        tries.append(about["job"])
        if len(tries) == 1:
            raise self.retry(exc=ValueError("not yet"))

    callback = world.task("picky", picky, bind=True)
    job = fan_out(world.member, ["a"], callback=callback)
    with world.working():
        world.sweep_until(lambda: len(tries) == 2)
    assert tries == [job.pk, job.pk]


def test_the_sweep_submits_what_a_reporter_that_died_has_left(world: World) -> None:
    """Its last report was committed, and it was killed before it did anything else."""
    job = fan_out(world.member, ["a"], callback=world.callback.si())
    (lease,) = claim(pipeline_of("member")).leases
    report(lease.token, [success(0)])
    assert progress(job.pk)["status"] == "SUCCESS"
    assert Job.objects.count() == 1
    world.sweep()
    world.sweep()
    called = Job.objects.exclude(pk=job.pk).get()
    assert called.name == "member: callback"
    assert called.config["celery"] == {"args": [], "kwargs": {}, "immutable": True}


def test_job_and_message_belong_to_the_transaction(world: World, ledger_db: str) -> None:
    with transaction.atomic(using=ledger_db):
        fan_out(world.member, ["a"])
        transaction.set_rollback(True, using=ledger_db)
    assert (Job.objects.count(), world.published) == (0, [])
    with transaction.atomic(using=ledger_db):
        fan_out(world.member, ["a"])
        assert world.published == []
    assert [name for name, _ in world.published] == ["member"]


def test_the_same_key_is_the_same_job(world: World) -> None:
    first, second = (fan_out(world.member, TWELVE, idempotency_key="k") for _ in range(2))
    assert first.pk == second.pk


def test_eagerly_all_is_done_at_once(world: World) -> None:
    world.app.conf.task_always_eager = True
    job = fan_out(world.member, TWELVE, callback=world.callback)
    assert progress(job.pk)["status"] in TERMINAL
    assert len(world.called_back) == 1


def test_it_is_an_ordinary_task_too(world: World) -> None:
    assert world.member(3, scale=2) == 6
    with world.working():
        world.member.delay(5)
        eventually(lambda: world.calls[5])
    assert Job.objects.count() == 0


def test_another_kind_of_task_is_refused(world: World) -> None:

    def nothing() -> None: ...

    plain = world.app.task(name="plain", shared=False)(nothing)

    with pytest.raises(InvalidInput, match="task: expected a task declared with base=ItemTask"):
        fan_out(plain, ["a"])
    with pytest.raises(InvalidInput, match="callback: expected a task"):
        fan_out(world.member, ["a"], callback=plain.s())


def test_what_a_failed_item_prints_is_kept_with_it(world: World) -> None:
    together = threading.Barrier(2)

    def says(payload: str) -> None:
        together.wait(30)  # both run at the same time
        sys.stdout.write(f"looks at {payload}\n")
        together.wait(30)
        assert payload != "bad"

    items = [{"key": one, "payload": one} for one in ("good", "bad")]
    job = fan_out(world.task("says", says).s(), items, policy={"failures_max": 1})
    with world.working(concurrency=2):
        world.ended(job.pk)
    assert writer().flush(30)
    (line,) = (one for one in logs(job.pk, limit=100) if one["source"] == "printed")
    assert (line["item"], line["message"]) == (1, "looks at bad")
    assert line["worker"]


def test_a_process_of_celery_writes_what_items_have_printed_before_it_ends(
    world: World, configure: Callable[..., None]
) -> None:
    configure(log_flush_seconds=30)
    job = fan_out(world.member.s(), TWELVE[:1])
    (lease,) = claim(pipeline_of("member"), 1).leases
    to_job_log("host/7")(lease, 0, "last words")
    worker_process_shutdown.send(sender=None)
    assert [one["message"] for one in logs(job.pk) if one["item"] == 0] == ["last words"]
