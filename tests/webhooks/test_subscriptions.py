"""Creating and ending webhooks, and what is shown of them and their deliveries."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.errors import InvalidInput, NotFound, Refused
from joblot.models import WebhookDelivery
from joblot.webhooks.delivery import claim_next, deliveries, resend
from joblot.webhooks.sender import send_due
from joblot.webhooks.subscriptions import end, subscribe, webhook, webhooks
from tests.ledger.conftest import Clock
from tests.webhooks.conftest import finish, row
from tests.webhooks.receivers import Receiver


def test_a_webhook_is_listed_without_its_secret(ledger_db: str) -> None:
    secret, made = subscribe("https://hooks.test/", ["failing", "finished"], project="alps")
    assert made["kinds"] == ["finished", "failing"]
    assert (made["url"], made["project"]) == ("https://hooks.test/", "alps")
    assert webhooks() == [made]
    assert secret not in str(made)
    _, everything = subscribe("https://hooks.test/")
    assert everything["kinds"] == ["finished", "amended", "failing", "halted"]
    assert everything["project"] is None


def test_what_a_webhook_can_not_be_is_refused(ledger_db: str, configure: Any) -> None:
    for kinds in ([], ["finished", "finnished"], "finished"):
        with pytest.raises(InvalidInput, match="kinds: expected some of finished, amended"):
            subscribe("https://hooks.test/", kinds)
    with pytest.raises(InvalidInput, match="project"):
        subscribe("https://hooks.test/", project="")
    configure(webhooks_max=1)
    _, one = subscribe("https://hooks.test/")
    with pytest.raises(InvalidInput, match="at most 1"):
        subscribe("https://hooks.test/")
    end(one["id"])
    subscribe("https://hooks.test/")


def test_a_webhook_is_ended_once(ledger_db: str, clock: Clock) -> None:
    _, made = subscribe("https://hooks.test/")
    ended = end(made["id"])
    assert ended["ended_at"] is not None
    clock.forward(10)
    assert end(made["id"]) == ended == webhook(made["id"])


def test_what_is_missing_is_reported(hook: int) -> None:
    for verb in (webhook, end, deliveries):
        with pytest.raises(NotFound, match="webhook 999999"):
            verb(999_999)
    with pytest.raises(NotFound, match="delivery 999999"):
        resend(999_999)


def test_deliveries_are_listed_the_newest_first_by_pages_and_states(
    hook: int, receiver: Receiver, configure: Any
) -> None:
    configure(webhook_tries_max=1)
    for _ in range(3):
        finish()
    receiver.answer(204, 500)
    send_due()
    page = deliveries(hook)
    assert [one["state"] for one in page] == ["pending", "given_up", "delivered"]
    assert deliveries(hook, limit=2) == page[:2]
    assert deliveries(hook, before=page[1]["id"]) == page[2:]
    for one in page:
        assert deliveries(hook, state=one["state"]) == [one]
    with pytest.raises(InvalidInput, match="state: expected one of pending"):
        deliveries(hook, state="lost")


def test_a_delivery_is_sent_once_more_under_the_same_id(hook: int, receiver: Receiver) -> None:
    finish()
    send_due()
    resent = resend(row().pk)
    assert (resent["state"], resent["delivered_at"], resent["tries"]) == ("pending", None, 0)
    assert send_due() == 1
    first, second = receiver.verified()
    assert first == second
    assert row().delivered_at is not None


def test_one_that_was_given_up_has_all_its_tries_again(
    hook: int, receiver: Receiver, configure: Any, clock: Clock
) -> None:
    configure(webhook_tries_max=2)
    receiver.answer(500, 500, 500)
    finish()
    send_due()
    clock.forward(6)
    send_due()
    assert row().next_try_at is None
    resend(row().pk)
    send_due()
    clock.forward(6)
    assert send_due() == 1


def test_one_that_waits_for_its_next_try_is_sent_now(
    hook: int, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer(503, retry_after="3600")
    finish()
    send_due()
    clock.forward(1)
    assert send_due() == 0
    resend(row().pk)
    assert send_due() == 1


def test_one_that_is_being_sent_is_left_to_that(hook: int, receiver: Receiver) -> None:
    finish()
    claim_next(hook)
    assert resend(row().pk)["tries"] == 1
    assert send_due() == 0


def test_nothing_is_sent_again_to_a_webhook_that_has_ended(hook: int, receiver: Receiver) -> None:
    finish()
    send_due()
    end(hook)
    with pytest.raises(Refused, match="has ended"):
        resend(row().pk)
    assert WebhookDelivery.objects.filter(next_try_at__isnull=False).count() == 0
