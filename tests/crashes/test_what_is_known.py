"""PostgreSQL stops during a verb of several transactions: the error states what was committed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from django.db import connections

from joblot import faults
from joblot.contrib.antenna.entries import entries
from joblot.contrib.antenna.intake import Intake
from joblot.contrib.antenna.subjects import Subject
from joblot.errors import Unavailable
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Job, Outcome
from joblot.testing.postgres import PostgresServer
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import fail, keys, status

ITEMS = 12
ROUND, CHUNK, RUN = "report: a round committed", "submit: chunk added", "retry: next run begun"
COMMITTED = "report: committed, not looked"


@contextmanager
def stopping(server: PostgresServer, point: str, passes: int = 1) -> Iterator[Callable[[], str]]:
    """Stop the server when the fault point is reached the given number of times; then restart it.

    Yields a function that returns what the block's call was answered.
    """
    passed = count(1)
    message: list[str] = []

    def stop() -> None:
        if next(passed) == passes:
            server.stop("immediate")

    with faults.armed(point, stop):
        try:
            yield lambda: message[0]
        except Unavailable as error:
            message.append(str(error))
    connections["postgres"].close()
    server.start()
    assert message, "the call was answered"
    assert "nothing was done" not in message[0]


def number_before(words: str, message: str) -> int:
    found = re.search(rf"(\d+) (?:\w+ )*?{words}", message)
    assert found, message
    return int(found[1])


def test_a_report_says_how_many_results_are_recorded(durable_postgres: PostgresServer) -> None:
    """Two rounds, since one result occurs twice; the server stops between them."""
    job = submit("rounds", keys(ITEMS), pipeline="p")
    lease = worker.lease(limit=ITEMS)
    results = [success(n) for n in range(ITEMS - 2)]
    repeated = [*results, success(0), success(ITEMS - 1)]
    with stopping(durable_postgres, ROUND) as message:
        report(lease.token, repeated)
    there = Outcome.objects.filter(job_id=job.pk).count()
    assert number_before("of these 12 results are known to be recorded", message()) == there == 11
    receipts = [one.receipt.value for one in report(lease.token, repeated)]
    assert receipts == ["duplicate"] * 12


def test_a_report_whose_reconciliation_failed_says_that_all_is_recorded(
    durable_postgres: PostgresServer,
) -> None:
    job = submit("looked", keys(ITEMS), pipeline="p")
    lease = worker.lease(limit=ITEMS)
    results = [success(n) for n in range(ITEMS)]
    with stopping(durable_postgres, COMMITTED) as message:
        report(lease.token, results)
    assert number_before(f"of these {ITEMS} results are known", message()) == ITEMS
    sweep()
    assert status(job) == "SUCCESS"


def test_a_report_that_was_rolled_back_claims_nothing(
    durable_postgres: PostgresServer, own_hooks: None
) -> None:
    """The server stops inside the transaction, after every result has been judged."""
    from joblot import on_result

    job = submit("rolled back", keys(ITEMS), pipeline="p")
    lease = worker.lease(limit=ITEMS)
    on_result("p")(lambda results: faults.point("hook"))
    with stopping(durable_postgres, "hook") as message:
        report(lease.token, [success(n) for n in range(ITEMS)])
    assert number_before(f"of these {ITEMS} results are known", message()) == 0
    assert not Outcome.objects.filter(job_id=job.pk).exists()


def test_a_large_batch_of_the_older_fleet_says_how_much_of_it_is_recorded(
    durable_postgres: PostgresServer, configure: Any
) -> None:
    configure(results_per_report_max=3)
    submit("batch", keys(ITEMS), pipeline="p")
    lease = worker.lease(limit=ITEMS)
    body = json.dumps(
        {
            "results": [
                {"reply_subject": str(Subject(lease.token, n)), "result": {"detections": []}}
                for n in range(ITEMS)
            ]
        }
    ).encode()

    def post() -> list[str]:
        return [one.status for one in Intake().take(entries(iter([body]), "results", 10_000))]

    with stopping(durable_postgres, COMMITTED, passes=3) as message:
        post()
    assert number_before("results are recorded; post all", message()) == 6
    assert Outcome.objects.count() == 9  # three more, from the third group, as its own message says
    assert number_before("of these 3 results are known to be recorded", message()) == 3
    assert post() == ["duplicate"] * 9 + ["counted"] * 3


@pytest.mark.parametrize("passes", [1, 2])
def test_adding_says_how_many_items_were_added(
    durable_postgres: PostgresServer, configure: Any, passes: int
) -> None:
    configure(add_chunk_items=2)
    job = submit("open", [], pipeline="p", seal=False)
    with stopping(durable_postgres, CHUNK, passes) as message:
        add_items(job.pk, keys(6))
    there = Job.objects.get(pk=job.pk).total
    assert number_before("items of this stream were added", message()) == there == 2 * passes
    assert add_items(job.pk, keys(6)) == 6 - there


@pytest.mark.parametrize("key", ["once", None])
def test_a_submission_says_what_to_do_with_what_it_has_made(
    durable_postgres: PostgresServer, configure: Any, key: str | None
) -> None:
    configure(add_chunk_items=2)
    with stopping(durable_postgres, CHUNK) as message:
        submit("cut", keys(6), pipeline="p", idempotency_key=key)
    job = Job.objects.get()
    assert f"job {job.pk} " in message()
    assert job.total == 2
    if key is None:
        assert "to submit again makes another job" in message()
        add_items(job.pk, keys(6))
        seal(job.pk)
    else:
        assert "submit again with the same key" in message()
        assert submit("cut", keys(6), pipeline="p", idempotency_key=key).pk == job.pk
    assert (Job.objects.get().total, Job.objects.get().sealed) == (6, True)


def test_a_retry_says_that_the_run_may_have_begun(durable_postgres: PostgresServer) -> None:
    job = submit("again", keys(1), pipeline="p")
    fail(worker.lease())
    with stopping(durable_postgres, RUN) as message:
        retry(job.pk, run=2)
    assert "the next sweep continues a run that was begun" in message()
    assert retry(job.pk, run=2).run == 2
    report(worker.lease().token, [failure(0, "E")])
    assert retry(job.pk, run=2).status == "FAILURE"
