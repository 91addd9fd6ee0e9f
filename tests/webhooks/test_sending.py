"""What a receiver is sent, when and how often, and its effects on the sender."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.db import connections, transaction

from joblot.clock import now as clock_now
from joblot.errors import NotDurable
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.prune import prune
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.outbox import fan_out
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Event, Webhook
from joblot.webhooks.delivery import claim_next, deliveries, record
from joblot.webhooks.post import Answer
from joblot.webhooks.sender import send_due
from joblot.webhooks.subscriptions import end, subscribe
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import fail, keys, succeed
from tests.polling import eventually
from tests.ports import kept
from tests.threads import Threads
from tests.webhooks.conftest import finish, row
from tests.webhooks.receivers import Receiver


def test_a_finished_job_is_sent_once_signed_with_its_report(hook: int, receiver: Receiver) -> None:
    job = finish(project="alps")
    assert receiver.got == []  # nothing is sent inside a verb's transaction
    assert (send_due(), send_due()) == (1, 0)
    (message,) = receiver.verified()
    stage = progress(job.pk)["stages"][0]
    names = ("name", "succeeded", "failed", "lost", "skipped")
    assert message.type == "job.finished"
    assert message.data == {
        "job": job.pk,
        "name": "told",
        "project": "alps",
        "run": 1,
        "revision": 1,
        "actor": "",
        "reason": "",
        "status": "SUCCESS",
        "total": 1,
        "stages": [{name: stage[name] for name in names}],
    }
    assert message.at == Event.objects.get(kind="finished").at.isoformat()
    assert message.id.endswith(f"-job-{job.pk}-run-1-revision-1-finished")
    assert "." not in message.id  # the signed text has one after the id
    assert receiver.got[0].headers["Content-Type"] == "application/json"
    (told,) = deliveries(hook)
    assert (told["state"], told["status"], told["tries"]) == ("delivered", 204, 1)


def test_an_event_that_is_handled_again_is_not_sent_again(hook: int, receiver: Receiver) -> None:
    finish()
    Event.ledger.update(dispatched_at=None)
    fan_out()
    assert (send_due(), len(receiver.got)) == (1, 1)


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
def test_any_other_answer_is_no_success_and_it_is_sent_again_under_the_same_id(
    status: int, hook: int, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer(status, body=b"not now")
    finish()
    assert send_due() == 0
    told = row()
    assert (told.status, told.error, told.tries) == (status, "not now", 1)
    assert send_due() == 0  # not before it is due
    clock.forward(6)
    assert send_due() == 1
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)
    times = [int(one.headers["webhook-timestamp"]) for one in receiver.got]
    assert times[1] - times[0] == 6
    assert (row().status, row().error) == (204, "")


def test_a_redirect_is_not_followed(
    hook: int, receiver: Receiver, make_receiver: Callable[..., Receiver]
) -> None:
    elsewhere = make_receiver()
    receiver.answer(302, 307, Location=elsewhere.url)
    finish()
    send_due()
    assert (row().status, elsewhere.got) == (302, [])


def test_a_connection_that_is_refused_is_tried_again(
    hook: int, receiver: Receiver, clock: Clock
) -> None:
    finish()
    with kept() as port:
        Webhook.objects.update(url=f"http://127.0.0.1:{port}/")
        assert send_due() == 0
    assert (row().status, row().tries) == (None, 1)
    assert "ConnectError" in row().error
    Webhook.objects.update(url=receiver.url)
    clock.forward(6)
    assert send_due() == 1


def test_the_wait_doubles_up_to_its_maximum_less_what_chance_takes_off(
    hook: int, receiver: Receiver, clock: Clock, configure: Any
) -> None:
    configure(webhook_backoff_seconds=8, webhook_backoff_seconds_max=20, webhook_tries_max=5)
    receiver.answer(*[500] * 9)
    finish()
    waits = []
    for most in (8, 16, 20, 20):
        send_due()
        waits.append((row().next_try_at - clock.now).total_seconds() / most)  # type: ignore[operator]
        assert 0.5 <= waits[-1] <= 1
        clock.forward(most / 2 - 1)
        send_due()
        clock.forward(most / 2 + 2)
    assert len(receiver.got) == 4
    assert len(set(waits)) > 1
    send_due()
    assert (row().tries, row().next_try_at, row().delivered_at) == (5, None, None)
    clock.forward(1_000_000)
    assert send_due() == 0
    assert [one["state"] for one in deliveries(hook)] == ["given_up"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_asks_for_time_gets_it_for_all_it_is_to_be_sent(
    status: int, hook: int, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer(status, retry_after="120")
    finish()
    finish("q")
    send_due()
    clock.forward(118)
    assert (send_due(), len(receiver.got)) == (0, 1)
    clock.forward(3)
    assert send_due() == 2


def test_the_time_it_asks_for_may_be_a_date_and_has_a_maximum(
    hook: int, receiver: Receiver, clock: Clock, configure: Any
) -> None:
    configure(webhook_retry_after_seconds_max=50)
    began = datetime.now(UTC)
    receiver.answer(503, retry_after=format_datetime(began + timedelta(seconds=45)))
    receiver.answer(503, retry_after="9" * 400)
    receiver.answer(503, retry_after="soon")
    finish()
    send_due()
    taken = (datetime.now(UTC) - began).total_seconds()
    # The date has no fraction of a second.
    assert 44 - taken <= (row().next_try_at - clock.now).total_seconds() <= 45  # type: ignore[operator]
    clock.forward(46)
    send_due()
    assert (row().next_try_at - clock.now).total_seconds() == 50  # type: ignore[operator]
    clock.forward(51)
    send_due()
    assert (row().next_try_at - clock.now).total_seconds() <= 20  # type: ignore[operator]


def test_gone_ends_the_webhook(hook: int, receiver: Receiver, clock: Clock) -> None:
    receiver.answer(410)
    finish()
    finish("q")
    send_due()
    clock.forward(1_000_000)
    finish("r")
    assert (send_due(), len(receiver.got)) == (0, 1)
    assert [one["state"] for one in deliveries(hook)] == ["given_up", "given_up"]
    assert Webhook.objects.get().ended_at is not None


# Senders


def test_of_two_senders_only_one_sends_a_delivery(
    hook: int, receiver: Receiver, in_thread: Threads
) -> None:
    receiver.hold()
    finish()
    first = in_thread(send_due)
    eventually(lambda: receiver.got)
    assert send_due() == 0
    receiver.go_on()
    assert first.result() == 1
    assert len(receiver.got) == 1


def test_of_two_that_see_the_same_delivery_only_one_claims_it(
    hook: int, in_thread: Threads
) -> None:
    finish()
    meet = threading.Barrier(2)

    def claim() -> bool:
        waited: list[int] = []

        def wait_once(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if sql.startswith("UPDATE") and not waited:
                waited.append(meet.wait(30))
            return execute(sql, params, many, context)

        with connections[Webhook.objects.db].execute_wrapper(wait_once):
            return claim_next(hook) is not None

    claims = [in_thread(claim), in_thread(claim)]
    assert sorted(one.result() for one in claims) == [False, True]


def test_what_a_sender_had_that_died_is_sent_again_later(
    hook: int, receiver: Receiver, clock: Clock
) -> None:
    finish()
    dead = claim_next(hook)
    assert dead is not None
    clock.forward(40)
    assert send_due() == 0
    clock.forward(6)
    assert send_due() == 1
    record(dead, Answer(500, "it was not dead but late"))
    assert (row().status, row().next_try_at) == (204, None)


def test_a_late_success_counts(hook: int, receiver: Receiver, clock: Clock) -> None:
    finish()
    late = claim_next(hook)
    assert late is not None
    clock.forward(46)
    receiver.answer(500)
    send_due()
    record(late, Answer(200))
    assert (row().status, row().next_try_at) == (200, None)


def test_nothing_is_sent_inside_a_transaction(hook: int, receiver: Receiver) -> None:
    finish()
    with transaction.atomic(using=Webhook.objects.db), pytest.raises(NotDurable):
        send_due()
    assert receiver.got == []


# Order, and subscriptions


def test_what_happened_to_a_job_is_sent_in_order_and_delays_no_other_job(
    hook: int, receiver: Receiver, clock: Clock
) -> None:
    job = submit("told", keys(2), pipeline="p")
    lease = worker.lease()
    fail(lease)
    succeed(lease, 0)
    retry(job.pk)
    worker.drain()
    fan_out()
    finish("q")
    receiver.answer(500)
    for seconds in (0, 0, 6):
        clock.forward(seconds)
        send_due()
    assert send_due() == 0
    told = [one.id.partition("-job-")[2] for one in receiver.got]
    first = f"{job.pk}-run-1-revision-1-finished"
    other = f"{job.pk + 1}-run-1-revision-1-finished"
    assert told[:2] == [first, other]
    assert told[2:] == [
        first,
        f"{job.pk}-run-1-revision-2-amended",
        f"{job.pk}-run-2-revision-1-finished",
    ]


def test_an_event_that_was_given_up_keeps_no_later_one_waiting(
    hook: int, receiver: Receiver, configure: Any
) -> None:
    configure(webhook_tries_max=1)
    job = submit("told", keys(1), pipeline="p")
    cancel(job.pk, grace_seconds=0)
    retry(job.pk)
    worker.drain()
    fan_out()
    receiver.answer(500)
    send_due()
    assert send_due() == 1
    assert [one.id[-25:] for one in receiver.got] == [
        "run-1-revision-1-finished",
        "run-2-revision-1-finished",
    ]


def test_a_receiver_hears_of_its_kinds_and_its_project_only(
    ledger_db: str, make_receiver: Callable[..., Receiver]
) -> None:
    amendments, alps, everything = (make_receiver() for _ in range(3))
    subscribe(amendments.url, ["amended"])
    subscribe(alps.url, ["finished"], project="alps")
    subscribe(everything.url)
    submit("told", keys(2), pipeline="p")
    lease = worker.lease()
    fail(lease)
    succeed(lease, 0)
    finish("q", project="alps")
    while send_due():
        pass
    types = [[got.type for got in one.got] for one in (amendments, alps, everything)]
    assert types[:2] == [["job.amended"], ["job.finished"]]
    assert sorted(types[2]) == ["job.amended", "job.finished", "job.finished"]
    ids = [got.id for one in (amendments, alps, everything) for got in one.got]
    assert len(set(ids)) == len(ids)  # each receiver has its own ids


def test_an_ended_webhook_gets_nothing_more(hook: int, receiver: Receiver) -> None:
    finish()
    end(hook)
    finish("q")
    assert (send_due(), receiver.got) == (0, [])
    assert row().next_try_at is None


def test_what_was_written_while_a_webhook_ended_is_not_sent(hook: int, receiver: Receiver) -> None:
    finish()
    Webhook.objects.update(ended_at=clock_now())
    assert (send_due(), receiver.got) == (0, [])


def test_events_of_a_removed_job_are_still_sent(
    hook: int, receiver: Receiver, clock: Clock
) -> None:
    finish()
    receiver.answer(500)
    send_due()
    clock.forward(1_000)
    assert prune(timedelta(seconds=1)) == 1
    assert send_due() == 1


def test_what_a_job_was_told_of_is_removed_with_it(
    hook: int, receiver: Receiver, clock: Clock
) -> None:
    finish()
    send_due()
    clock.forward(1_000)
    other = finish("q")
    prune(timedelta(seconds=1))
    assert [one["job"] for one in deliveries(hook)] == [other.pk]
