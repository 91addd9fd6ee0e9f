"""The sender's protection from receivers that misbehave."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from joblot.models import WebhookDelivery
from joblot.webhooks.sender import send_due, send_until
from joblot.webhooks.subscriptions import subscribe
from tests.polling import eventually
from tests.threads import Threads
from tests.webhooks.conftest import finish, row
from tests.webhooks.receivers import Misbehaving, Receiver

BYTES = 65_536


def test_a_receiver_that_never_answers_costs_one_try_its_time(
    hook: int, receiver: Receiver, configure: Any
) -> None:
    configure(webhook_seconds_max=0.2)
    receiver.hold()
    finish()
    assert send_due() == 0
    assert (row().status, "Timeout" in row().error) == (None, True)


def drip(connection: socket.socket) -> None:
    """Send one byte at a time, each in time, endlessly."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.01)


def flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(f"{BYTES:x}\r\n".encode() + b"x" * BYTES + b"\r\n")


def hang_up(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 204")


def babble(connection: socket.socket) -> None:
    connection.sendall(b"hello\r\n\r\n")


def binary(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\n\x00\xff\x1b\x0a")


@pytest.mark.parametrize(
    ("speak", "seconds_max", "told"),
    [
        (drip, 0.5, (None, "Timeout")),
        (flood, 20, (500, "xxx")),
        (hang_up, 20, (None, "RemoteProtocolError")),
        (babble, 20, (None, "RemoteProtocolError")),
        (binary, 20, (500, "�")),
    ],
)
def test_a_receiver_that_misbehaves_costs_one_try(
    ledger_db: str, configure: Any, speak: Any, seconds_max: float, told: tuple[int | None, str]
) -> None:
    configure(webhook_seconds_max=seconds_max)
    bad = Misbehaving(speak)
    subscribe(bad.url)
    finish()
    began = time.monotonic()
    assert send_due() == 0
    assert time.monotonic() - began < 10
    status, error = told
    assert (row().status, error in row().error) == (status, True)
    assert len(row().error) <= 1_024
    bad.close()


def test_a_receiver_that_hangs_keeps_no_other_waiting(
    hook: int,
    receiver: Receiver,
    make_receiver: Callable[..., Receiver],
    in_thread: Threads,
    configure: Any,
) -> None:
    configure(webhook_poll_seconds=0.01)
    other = make_receiver()
    subscribe(other.url)
    receiver.hold()
    stop = threading.Event()
    sender = in_thread(send_until, stop)
    for told in (1, 2, 3):
        finish()
        eventually(lambda told=told: len(other.got) == told)  # type: ignore[misc]
    eventually(lambda: receiver.got)
    assert len(receiver.got) == 1  # nothing more is sent there meanwhile
    receiver.go_on()
    eventually(lambda: not WebhookDelivery.objects.filter(delivered_at=None).exists())
    assert len(receiver.got) == 3
    stop.set()
    sender.result()
