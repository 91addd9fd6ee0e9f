"""Deliveries: at least once, with a stable id; exactly once for effects in the same database."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.transaction import atomic

from joblot import clock
from joblot.errors import NotDurable
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.outbox import fan_out
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.progress import progress
from joblot.ledger.report.hooks import JobNotice, on_event
from joblot.ledger.submit.submit import submit
from joblot.models import Delivery, Event
from tests.ledger import worker
from tests.ledger.told import deliver, finished, insert
from tests.ledger.worker import fail, keys, succeed


def test_a_handler_gets_events_of_its_kinds_only_in_order(ledger_db: str) -> None:
    told: list[JobNotice] = []
    on_event("started", "finished")(told.append)
    job_id = finished()
    assert told == []  # no verb delivers anything
    assert sweep().events_fanned_out == 3
    assert told == []  # nor does the sweep
    assert deliver() == 2
    assert [(event.kind, event.job_id, event.run) for event in told] == [
        ("started", job_id, 1),
        ("finished", job_id, 1),
    ]
    assert (told[1].revision, told[1].data["status"]) == (1, "SUCCESS")
    assert deliver() == 0
    assert len(told) == 2


def test_runs_and_amendments_are_distinguished(ledger_db: str) -> None:
    told: list[tuple[str, int, int]] = []

    @on_event("finished", "amended")
    def tell(event: JobNotice) -> None:
        told.append((event.kind, event.run, event.revision))

    job = submit("told", keys(2), pipeline="p")
    lease = worker.lease()
    fail(lease)
    succeed(lease, 0)
    retry(job.pk)
    worker.drain()
    deliver()
    assert told == [("finished", 1, 1), ("amended", 1, 2), ("finished", 2, 1)]


def test_effects_in_the_same_database_happen_exactly_once(ledger_db: str, saved: Any) -> None:
    """The handler does its work, then dies; its writes are rolled back and done again."""
    tries: list[int] = []

    @on_event("finished")
    def dies_first(event: JobNotice) -> None:
        insert(event)
        tries.append(event.id)
        if len(tries) < 3:
            raise ConnectionError

    finished()
    for _ in range(4):
        assert (saved() == {}) is (len(tries) < 3)
        deliver()
        Delivery.ledger.filter(tries__gt=0).update(next_try_at="2000-01-01T00:00:00Z")
    assert len(set(tries)) == 1
    assert len(tries) == 3
    assert saved() == {str(tries[0]): "finished"}


def test_an_event_delivered_again_does_not_reach_a_handler_that_has_handled_it(
    ledger_db: str, saved: Any
) -> None:
    """The event is fanned out a second time."""
    on_event("finished")(insert)
    finished()
    deliver()
    Event.ledger.update(dispatched_at=None)
    deliver()
    assert len(saved()) == 1
    assert not Event.objects.filter(dispatched_at=None).exists()


def test_a_failing_handler_is_tried_again_later_and_keeps_no_other_from_the_event(
    ledger_db: str, clock: Any, configure: Any
) -> None:
    configure(outbox_backoff_seconds=10)
    good: list[int] = []
    bad: list[int] = []

    @on_event("finished")
    def fails(event: JobNotice) -> None:
        bad.append(event.id)
        raise ValueError

    @on_event("finished")
    def works(event: JobNotice) -> None:
        good.append(event.id)

    first = finished()
    deliver()
    assert (len(bad), len(good)) == (1, 1)
    deliver()
    assert len(bad) == 1  # not before it is due
    second = finished("q")
    deliver()
    assert (len(bad), len(good)) == (2, 2)  # the failing event delays no other
    for wait, tries in ((10, 2), (20, 3), (40, 4)):
        clock.forward(wait - 1)
        before = bad.count(bad[0])
        deliver()
        assert bad.count(bad[0]) == before
        clock.forward(1)
        deliver()
        assert bad.count(bad[0]) == tries
    assert len(good) == 2
    assert first != second
    assert Delivery.objects.filter(delivered_at=None).count() == 2


@pytest.mark.parametrize("error", ["of the database", "of another kind"])
def test_a_handler_whose_rows_are_rolled_back_has_not_handled_the_event(
    ledger_db: str, saved: Any, error: str
) -> None:
    """It swallowed the error that made its transaction uncommittable."""
    broken = True

    @on_event("finished")
    def save(event: JobNotice) -> None:
        insert(event)
        if broken:
            with suppress(DatabaseError, ValueError), atomic(using=ledger_db, savepoint=False):
                if error == "of another kind":
                    raise ValueError
                insert(event)

    finished()
    deliver()
    assert saved() == {}
    broken = False
    Delivery.ledger.update(next_try_at=clock.now())
    deliver()
    assert list(saved().values()) == ["finished"]


def test_the_wait_of_a_failing_handler_has_a_maximum(
    ledger_db: str, clock: Any, configure: Any
) -> None:
    configure(outbox_backoff_seconds=10, outbox_backoff_seconds_max=15)
    tries: list[int] = []

    @on_event("finished")
    def fails(event: JobNotice) -> None:
        tries.append(1)
        raise ValueError

    finished()
    for _ in range(5):
        deliver()
        clock.forward(15)
    assert len(tries) == 5


def test_more_events_than_a_batch_are_delivered_by_and_by(ledger_db: str, configure: Any) -> None:
    configure(outbox_batch_events=2)
    told: list[tuple[int, str]] = []
    kinds = ("started", "claimed", "finished")
    on_event(*kinds)(lambda event: told.append((event.job_id, event.kind)))
    jobs = [finished(), finished()]
    assert [fan_out() for _ in range(4)] == [2, 2, 2, 0]
    assert deliver() == 6
    for job in jobs:
        assert [kind for job_id, kind in told if job_id == job] == list(kinds)


def test_a_handler_may_read_the_ledger_but_not_settle_in_it(ledger_db: str) -> None:
    seen: list[str] = []

    @on_event("finished")
    def read(event: JobNotice) -> None:
        seen.append(progress(event.job_id)["status"])
        with pytest.raises(NotDurable):
            cancel(job.pk, grace_seconds=0)

    job = submit("other", keys(1), pipeline="other")
    finished()
    deliver()
    assert seen == ["SUCCESS"]
    assert worker.status(job) == "PENDING"
    assert not Delivery.objects.filter(delivered_at=None).exists()


def test_a_handler_may_submit_the_next_job(ledger_db: str) -> None:
    @on_event("finished")
    def follow(event: JobNotice) -> None:
        submit(f"after {event.job_id}", keys(2), pipeline="next")

    finished()
    deliver()
    Event.ledger.filter(kind="finished").update(dispatched_at=None)
    deliver()
    assert len(worker.lease("next").items) == 2
    assert worker.nothing("next")
    assert Delivery.objects.filter(handler__endswith=".follow").count() == 1
