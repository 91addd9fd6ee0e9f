"""Ended jobs with pending deliveries, and their handlers."""

from __future__ import annotations

from django.db import connections

from joblot.ledger.maintain import delivery
from joblot.ledger.maintain.outbox import fan_out
from joblot.ledger.report.hooks import JobNotice
from joblot.ledger.submit.submit import submit
from tests import databases
from tests.ledger import worker
from tests.ledger.worker import keys


def finished(pipeline: str = "p") -> int:
    job = submit("told", keys(1), pipeline=pipeline)
    worker.drain(pipeline)
    return job.pk


def deliver() -> int:
    fan_out()
    return delivery.deliver()


def insert(event: JobNotice) -> None:
    with connections[databases.current()].cursor() as cursor:
        cursor.execute(
            "INSERT INTO saved_row (key, value) VALUES (%s, %s)", [f"{event.id}", event.kind]
        )
