"""Webhooks as receivers see them: real sockets on loopback, and a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from joblot import config
from joblot.ledger.maintain.outbox import fan_out
from joblot.ledger.submit.submit import submit
from joblot.models import Job, WebhookDelivery
from joblot.webhooks.subscriptions import subscribe
from tests.ledger import worker
from tests.ledger.conftest import clock, exact, own_hooks
from tests.ledger.worker import keys
from tests.webhooks.receivers import Receiver

__all__ = ["clock", "exact", "own_hooks"]


@pytest.fixture
def configure() -> Iterator[Callable[..., None]]:
    """Works like `settings.JOBLOT`, with loopback allowed; undone after the test."""
    yield lambda **settings: config.configure({"webhook_private_allowed": True} | settings)
    config.configure({})


@pytest.fixture(autouse=True)
def loopback_allowed(configure: Callable[..., None]) -> None:
    configure()


@pytest.fixture
def make_receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(host: str = "127.0.0.1", **how: Any) -> Receiver:
        made.append(Receiver(host, **how))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


@pytest.fixture
def receiver(make_receiver: Callable[..., Receiver]) -> Receiver:
    """A receiver that responds with 204, or as set by `answer`; `got` holds its requests."""
    return make_receiver()


@pytest.fixture
def hook(ledger_db: str, receiver: Receiver) -> int:
    """The id of a webhook for all events, sent to `receiver`, which has its secret."""
    receiver.secret, made = subscribe(receiver.url)
    return int(made["id"])


def finish(pipeline: str = "p", **more: Any) -> Job:
    """A job of one item that has ended, and whose event was fanned out to deliveries."""
    job = submit("told", keys(1), pipeline=pipeline, **more)
    worker.drain(pipeline)
    fan_out()
    return job


def row(**which: Any) -> WebhookDelivery:
    """The only delivery, or the only one that matches."""
    return WebhookDelivery.objects.get(**which)
