"""The approach that joblot replaces loses updates; joblot, in the same interleaving, does not.

A job's progress is one JSON blob. A handler reads it, changes it in memory and writes it back; its
save() also writes back the stale status.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connections

from joblot.errors import LedgerOwned
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.worker import counts, keys, status, succeed

HANDLERS = 8


def run(sql: str, params: Any = ()) -> list[Any]:
    with connections["postgres"].cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def faulty(postgres_only: str) -> Iterator[None]:
    run("CREATE TABLE faulty_job (id int, status text, progress text)")
    run("INSERT INTO faulty_job VALUES (1, 'STARTED', %s)", [json.dumps({"processed": 0})])
    yield
    run("DROP TABLE faulty_job")


class FaultyJob:
    """An instance as an ORM loads and saves it: the whole row, however stale."""

    def __init__(self) -> None:
        ((self.status, progress),) = run("SELECT status, progress FROM faulty_job")
        self.progress = json.loads(progress)

    def save(self) -> None:
        row = [self.status, json.dumps(self.progress)]
        run("UPDATE faulty_job SET status = %s, progress = %s", row)


def test_the_unlocked_counter_loses_results(faulty: None, in_thread: Any) -> None:
    all_have_read = Barrier(HANDLERS)

    def handle() -> None:
        job = FaultyJob()
        all_have_read.wait()
        job.progress["processed"] += 1
        job.save()

    for handler in [in_thread(handle) for _ in range(HANDLERS)]:
        handler.result()
    assert FaultyJob().progress["processed"] == 1  # of 8


def test_the_ledger_counts_every_one(postgres_only: str, in_thread: Any) -> None:
    job = submit("exact", keys(HANDLERS), pipeline="p")
    leases = [worker.lease(limit=1) for _ in range(HANDLERS)]
    all_are_ready = Barrier(HANDLERS)

    def handle(lease: Any) -> list[str]:
        worker.status(job)  # has read the same as the others
        all_are_ready.wait()
        return succeed(lease)

    handlers = [in_thread(lambda lease=lease: handle(lease)) for lease in leases]
    assert [handler.result() for handler in handlers] == [["counted"]] * HANDLERS
    assert counts(job) == {"succeeded": HANDLERS}
    assert status(job) == "SUCCESS"


def test_a_stale_save_brings_a_revoked_job_back(faulty: None) -> None:
    handler = FaultyJob()
    run("UPDATE faulty_job SET status = 'REVOKED'")
    handler.progress["processed"] = 1
    handler.status = "SUCCESS"
    handler.save()
    assert FaultyJob().status == "SUCCESS"  # although the job was revoked


def test_the_ledger_refuses_a_stale_save(ledger_db: str) -> None:
    job = submit("stale", keys(2), pipeline="p")
    lease = worker.lease()
    stale = Job.objects.get()
    cancel(job.pk, grace_seconds=0)
    stale.status = "SUCCESS"
    stale.name = "renamed"
    stale.save()  # saves what an adopter may change, but not the status
    assert (status(job), Job.objects.get().name) == ("REVOKED", "renamed")
    with pytest.raises(LedgerOwned):
        stale.save(update_fields=["status"])
    with pytest.raises(LedgerOwned):
        Job.objects.filter(pk=job.pk).update(status="SUCCESS")
    assert succeed(lease) == ["late", "late"]
    assert status(job) == "REVOKED"


def test_the_database_refuses_it_too(ledger_db: str) -> None:
    submit("raw", keys(2), pipeline="p")
    for change in ("status = 'SUCCESS'", "status = 'REVOKED', version = version + 1", "total = 9"):
        with pytest.raises(IntegrityError, match="joblot"):
            connections[ledger_db].cursor().execute(f"UPDATE joblot_job SET {change}")
