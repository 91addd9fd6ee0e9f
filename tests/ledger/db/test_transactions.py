"""If a connection drops or the disk is full, a verb raises `Unavailable` and may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from joblot.errors import Unavailable
from joblot.ledger.job import lifecycle
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, release, renew
from joblot.ledger.maintain.repair import repair
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.audit import audit
from joblot.ledger.read.history import events
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.read.why import why
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Job
from joblot.testing.simulator.trouble import Kind, Trouble, injected
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import counts, keys, status

STATEMENTS_MAX = 200

Verb = Callable[[Job, str], Any]

# On an open job of four items, with a lease on two of them.
VERBS: dict[str, Verb] = {
    "submit": lambda job, token: submit("another", keys(2), pipeline="q", idempotency_key="one"),
    "add_items": lambda job, token: add_items(job.pk, keys(5)),
    "seal": lambda job, token: seal(job.pk),
    "start": lambda job, token: lifecycle.start(job.pk),
    "pause": lambda job, token: lifecycle.pause(job.pk),
    "resume": lambda job, token: lifecycle.resume(job.pk),
    "cancel": lambda job, token: lifecycle.cancel(job.pk, grace_seconds=0),
    "claim": lambda job, token: worker.nothing(idempotency_key="claim"),
    "report": lambda job, token: report(token, [success(0), failure(1, "Bad", retryable=True)]),
    "renew": lambda job, token: renew(token),
    "release": lambda job, token: release(token),
    "expire": lambda job, token: expire(token),
    "sweep": lambda job, token: sweep(),
    "progress": lambda job, token: progress(job.pk),
    "items": lambda job, token: items(job.pk),
    "events": lambda job, token: events(job.pk),
    "why": lambda job, token: why(job.pk),
    "audit": lambda job, token: audit(job.pk),
    "repair": lambda job, token: repair(job.pk),
}


def cut_everywhere(verb: Callable[[], Any]) -> int:
    """Repeat the call, cutting the connection one statement later each time, until it succeeds."""
    for statement in range(STATEMENTS_MAX):
        with injected(Trouble(Kind.CUT, statement)) as struck:
            try:
                verb()
            except Unavailable:
                assert struck.yes
            else:
                assert not struck.yes, "it was cut, and did not say so"
                return statement
    raise AssertionError(f"it has more than {STATEMENTS_MAX} statements")


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_that_is_cut_says_so(ledger_db: str, name: str) -> None:
    job = submit("cut", keys(4), pipeline="p", seal=False)
    lease = worker.lease(limit=2)
    assert cut_everywhere(lambda: VERBS[name](job, lease.token)) > 0


def test_a_retry_and_a_delete_that_are_cut_say_so(ledger_db: str) -> None:
    job = submit("cut", keys(4), pipeline="p")
    worker.fail(worker.lease())
    with injected(Trouble(Kind.CUT)), pytest.raises(Unavailable):
        retry(job.pk)
    with injected(Trouble(Kind.CUT)), pytest.raises(Unavailable):
        lifecycle.delete(job.pk)
    lifecycle.delete(job.pk)
    assert cut_everywhere(sweep) > 0  # with rows to purge


FULL = """
CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON joblot_outcome EXECUTE FUNCTION disk_full();
CREATE TRIGGER full_disk BEFORE INSERT ON joblot_lease EXECUTE FUNCTION disk_full();
"""


@contextmanager
def full_disk(using: str) -> Iterator[None]:
    with connections[using].cursor() as cursor:
        if using == "postgres":
            cursor.execute(FULL)
        else:
            cursor.execute("VACUUM")  # free pages left by other tests would provide room
            cursor.execute("PRAGMA page_count")
            cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
    try:
        yield
    finally:
        with connections[using].cursor() as cursor:
            room = "DROP FUNCTION disk_full CASCADE"
            cursor.execute(room if using == "postgres" else f"PRAGMA max_page_count = {2**30}")


def test_a_report_to_a_full_disk_loses_nothing(ledger_db: str) -> None:
    job = submit("full", keys(16), pipeline="p")
    lease = worker.lease()
    results = [success(n, "x" * 4_000) for n in worker.numbers(lease)]
    with full_disk(ledger_db), pytest.raises(Unavailable):
        report(lease.token, results)
    assert counts(job) == {}
    assert {one.receipt.value for one in report(lease.token, results)} == {"counted"}
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 16})


def test_a_claim_on_a_full_disk_takes_nothing(postgres_only: str) -> None:
    job = submit("full", keys(16), pipeline="p")
    with full_disk(postgres_only), pytest.raises(Unavailable):
        worker.lease()
    assert progress(job.pk)["stages"][0]["ready"] == 16
    assert worker.numbers(worker.lease()) == list(range(16))
