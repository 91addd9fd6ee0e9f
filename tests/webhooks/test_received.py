"""A receiver that uses Django: the effect of a message happens exactly once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import pytest
from django.db import connections, models
from django.http import HttpResponse
from django.test import RequestFactory

from joblot.webhooks.received import ReceivedWebhook, receives
from joblot.webhooks.receiver import Message
from joblot.webhooks.signature import new_secret, sign
from tests import databases
from tests.ledger.conftest import saved
from tests.threads import Threads

__all__ = ["saved"]

SECRET = new_secret()
BODY = json.dumps({"type": "job.finished", "timestamp": "2030", "data": {"job": 7}}).encode()


class Received(ReceivedWebhook):
    objects: ClassVar[Any] = models.Manager()

    class Meta:
        app_label = "a_receiver"


@pytest.fixture
def table(ledger_db: str, saved: Any) -> Iterator[None]:
    """The receiver's table of ids; `saved_row` is the table that its effect writes."""
    with connections[ledger_db].schema_editor() as editor:
        editor.create_model(Received)
    yield
    with connections[ledger_db].schema_editor() as editor:
        editor.delete_model(Received)


def send(view: Callable[..., HttpResponse], message_id: str, **changes: str) -> int:
    at = int(time.time())
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": sign(SECRET, message_id, at, BODY),
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    return view(request(headers)).status_code


def request(headers: Mapping[str, str]) -> Any:
    return RequestFactory().post("/", BODY, content_type="application/json", headers=headers)


def insert(message: Message) -> None:
    """Insert a row; fails for a repeated message."""
    with connections[databases.current()].cursor() as cursor:
        cursor.execute(
            "INSERT INTO saved_row (key, value) VALUES (%s, %s)", [message.id, message.type]
        )


@pytest.fixture
def view(table: None) -> Callable[..., HttpResponse]:
    return receives(Received, lambda: SECRET)(insert)


def test_the_same_message_again_is_taken_and_does_nothing(
    view: Callable[..., HttpResponse], saved: Any
) -> None:
    assert [send(view, "m1"), send(view, "m1"), send(view, "m2"), send(view, "m1")] == [204] * 4
    assert saved() == {"m1": "job.finished", "m2": "job.finished"}


def test_what_is_not_genuine_is_refused_and_does_nothing(
    view: Callable[..., HttpResponse], saved: Any
) -> None:
    assert send(view, "m1", webhook_signature="v1,AAAA") == 401
    assert send(view, "m1", webhook_id="m2") == 401
    assert (saved(), Received.objects.count()) == ({}, 0)


def test_an_effect_that_fails_leaves_nothing_and_is_done_when_it_comes_again(
    table: None, saved: Any
) -> None:
    tries: list[str] = []

    @receives(Received, lambda: SECRET)
    def fails_first(message: Message) -> None:
        insert(message)
        tries.append(message.id)
        if len(tries) == 1:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        send(fails_first, "m1")
    assert (saved(), Received.objects.count()) == ({}, 0)
    assert send(fails_first, "m1") == 204
    assert saved() == {"m1": "job.finished"}


@pytest.mark.parametrize("first_fails", [False, True])
def test_the_same_message_twice_at_once_is_done_once(
    table: None, saved: Any, in_thread: Threads, first_fails: bool
) -> None:
    """The second waits for the first, and does the work if the first fails."""
    entered, go_on = threading.Event(), threading.Event()

    @receives(Received, lambda: SECRET)
    def slow(message: Message) -> None:
        if not entered.is_set():
            entered.set()
            assert go_on.wait(30)
            if first_fails:
                raise ConnectionError
        insert(message)

    first = in_thread(send, slow, "m1")
    assert entered.wait(30)
    second = in_thread(send, slow, "m1")
    go_on.set()
    if first_fails:
        assert isinstance(first.error(), ConnectionError)
    else:
        assert first.result() == 204
    assert second.result() == 204
    assert saved() == {"m1": "job.finished"}


def test_only_a_post_is_taken(view: Callable[..., HttpResponse]) -> None:
    assert view(RequestFactory().get("/")).status_code == 405
