"""Webhooks from the command line, and a server that sends them."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.cli.conftest import Joblot
from tests.polling import eventually
from tests.webhooks.conftest import make_receiver
from tests.webhooks.receivers import Receiver

__all__ = ["make_receiver"]

DELIVERED = "SELECT count(*) FROM joblot_webhook_delivery WHERE delivered_at IS NOT NULL"


def test_a_server_notifies_a_receiver_of_a_jobs_end(
    make_joblot: Callable[..., Joblot], make_receiver: Callable[..., Receiver]
) -> None:
    joblot = make_joblot(JOBLOT_WEBHOOK_PRIVATE_ALLOWED="1")
    receiver = make_receiver()
    receiver.secret = joblot("webhook", "add", receiver.url, "--kind", "finished").stdout.strip()
    server = joblot.start("serve", "--port", "0")
    joblot("submit", "night", "--pipeline", "p")  # without items, so that it has ended
    eventually(lambda: receiver.got)
    (message,) = receiver.verified()
    assert (message.type, message.data["name"]) == ("job.finished", "night")
    eventually(lambda: joblot.count(DELIVERED) == 1)  # recorded after the receiver's answer

    (delivery,) = joblot.json("webhook", "deliveries", "1")
    assert joblot("webhook", "resend", str(delivery["id"])).stdout.startswith("delivery 1 of ")
    eventually(lambda: len(receiver.got) == 2)
    eventually(lambda: joblot.count(DELIVERED) == 1)
    assert {one.id for one in receiver.verified()} == {message.id}
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=60)

    assert "delivered" in joblot("webhook", "deliveries", "1", "--state", "delivered").stdout
    assert "ended at" in joblot("webhook", "end", "1").stdout
    (listed,) = joblot.json("webhook", "list")
    assert listed["ended_at"] is not None
    assert receiver.secret not in joblot("webhook", "list").stdout
    joblot("webhook", "resend", "1", expect=3)


def test_what_can_not_be_is_refused(joblot: Joblot) -> None:
    refused = joblot("webhook", "add", "http://127.0.0.1/", expect=2)
    assert "expected a public address" in refused.stderr
    assert (
        "kinds: expected"
        in joblot("webhook", "add", "https://hooks.test/", "--kind", "ended", expect=2).stderr
    )
    joblot("webhook", "end", "7", expect=3)
    joblot("webhook", "deliveries", "7", expect=3)
