"""How many statements a verb sends: one more is a round trip more, for each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.lease import renew, renew_many
from joblot.ledger.read.audit import audit
from joblot.ledger.read.progress import jobs, progress
from joblot.ledger.rows.ranges import Span, enqueue
from joblot.ledger.submit.submit import add_items, submit
from joblot.models import ItemRange, Job, Lease
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import keys, succeed

Sent = Callable[[Callable[[], object]], list[str]]


@pytest.fixture
def sent(ledger_db: str) -> Sent:
    """The statements of a call, BEGIN and COMMIT included."""

    def statements(act: Callable[[], object]) -> list[str]:
        with CaptureQueriesContext(connections[ledger_db]) as captured:
            act()
        return [str(query["sql"]) for query in captured]

    return statements


@pytest.fixture
def postgres_sent(postgres_only: str, sent: Sent) -> Sent:
    return sent


def test_a_lease_is_renewed_by_one_statement(sent: Sent) -> None:
    submit("one", keys(1), pipeline="p")
    token = worker.lease().token
    assert len(sent(lambda: renew(token))) == 1
    assert len(sent(lambda: renew(token, 60))) == 1


@pytest.mark.parametrize("leases", [1, 5])
def test_any_number_of_leases_is_renewed_by_one_statement(sent: Sent, leases: int) -> None:
    submit("some", keys(leases), pipeline="p", policy={"lease_seconds": 10})
    tokens = [UUID(worker.lease(limit=1).token) for _ in range(leases)]
    assert len(sent(lambda: renew_many(tokens, 60))) == 1


def test_an_audit_sums_up_in_one_statement(sent: Sent) -> None:
    """Beside it: the job, the metrics, and of a running job its ranges, leases and open items."""
    job = submit("audited", keys(2), pipeline="p")

    def reads() -> int:
        return sum(one.lstrip().startswith("SELECT") for one in sent(lambda: audit(job.pk)))

    assert reads() == 6
    succeed(worker.lease())
    assert reads() == 3


@pytest.mark.parametrize("made", [1, 50])
def test_progress_is_read_by_one_statement(sent: Sent, made: int) -> None:
    ids = [submit(f"job {n}", keys(1), pipeline="p").pk for n in range(made)]
    assert len(sent(lambda: progress(ids[0]))) == 1
    assert len(sent(jobs)) == 1


@pytest.mark.parametrize("settled", [1, 40])
def test_a_cancel_takes_four_statements_whatever_is_settled(
    postgres_sent: Sent, settled: int
) -> None:
    job = submit("canceled", keys(settled + 2), pipeline="p")
    for _ in range(settled):
        succeed(worker.lease(limit=1))
    worker.lease(limit=1)
    assert len(postgres_sent(lambda: cancel(job.pk, grace_seconds=0))) == 4
    assert Lease.objects.filter(state=1).count() == settled


def test_a_cancel_that_leaves_leases_their_grace_takes_two(postgres_sent: Sent) -> None:
    job = submit("canceled", keys(2), pipeline="p")
    worker.lease(limit=1)
    assert len(postgres_sent(lambda: cancel(job.pk))) == 2
    assert Job.objects.get().status == "CANCELING"


def looked_up(statements: list[str]) -> int:
    """How many of them look for items by their keys."""
    return sum("SELECT i.number, i.key" in sql for sql in statements)


class TestItemsThatAreAdded:
    """Looking for each of them by its key would cost more than adding it."""

    def test_are_not_looked_up_while_they_are_new(
        self, sent: Sent, configure: Callable[..., None]
    ) -> None:
        configure(add_chunk_items=5)
        job = submit("filling", keys(5), pipeline="p", seal=False)
        new = [f"new {n}" for n in range(20)]
        assert looked_up(sent(lambda: add_items(job.pk, new))) == 0
        assert Job.objects.get().total == 25

    def test_are_looked_up_from_the_first_one_on_that_the_job_has(
        self, sent: Sent, configure: Callable[..., None]
    ) -> None:
        configure(add_chunk_items=5)
        job = submit("filling", keys(10), pipeline="p", seal=False)
        mixed = [*keys(10), *(f"new {n}" for n in range(20))]
        assert looked_up(sent(lambda: add_items(job.pk, mixed))) == 3
        assert Job.objects.get().total == 30

    def test_are_looked_up_at_once_if_the_job_takes_no_more(self, sent: Sent) -> None:
        job = submit("sealed", keys(3), pipeline="p")
        statements = sent(lambda: add_items(job.pk, keys(3)))
        assert looked_up(statements) == 1
        assert not any("joblot_item (" in sql for sql in statements)


class TestResultsOfAllKinds:
    """What is judged is written by one statement for each kind, for any number of results."""

    @pytest.fixture
    def report_of(self, clock: Any, sent: Sent) -> Callable[[int], list[str]]:
        """Report `each` results of each of four kinds through one lease; returns what was sent."""

        def reported(each: int) -> list[str]:
            policy = {"failures_max": 9, "lease_seconds": 3600}
            job = submit(f"{each} of each", keys(4 * each), pipeline="p", policy=policy)
            ItemRange.ledger.filter(job_id=job.pk).delete()
            failed = [Span(n, n, failures=n % 4) for n in range(each)]
            enqueue(job.pk, 0, [*failed, Span(each, 4 * each - 1)])
            lease = worker.lease(limit=4 * each)
            again, amended, conflicting, new = (
                range(first, first + each) for first in range(0, 4 * each, each)
            )
            worker.receipts(lease, *(failure(n, "Bad") for n in amended))
            worker.receipts(lease, *(success(n, "first") for n in conflicting))
            given = [
                *(failure(n, "Bad", retryable=True) for n in again),
                *(success(n, "other") for n in (*amended, *conflicting, *new)),
            ]
            got: list[str] = []
            statements = sent(lambda: got.extend(worker.receipts(lease, *given)))
            kinds = ("requeued", "amended", "conflicting", "counted")
            assert got == [kind for kind in kinds for _ in range(each)]
            return statements

        return reported

    def test_are_as_many_statements_for_64_results_as_for_4(
        self, report_of: Callable[[int], list[str]]
    ) -> None:
        few, many = report_of(1), report_of(16)
        assert len(many) == len(few)
        waits = ItemRange.objects.filter(failures__gt=0).values_list("failures", "not_before")
        assert len(set(waits)) == 4  # each with the wait that its failures have earned
