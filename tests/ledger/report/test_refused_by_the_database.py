"""A result that the database refuses affects no other result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections

from joblot.ledger.maintain.fold import fold
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Metric, Outcome, Tally
from joblot.states import Receipt
from joblot.wire import METRIC_MAX, success
from tests.ledger import worker
from tests.ledger.worker import counts, keys, metrics

BIGINT_MAX = 2**63 - 1
ITEMS = 9
BAD = 4


def fill_sum(alias: str) -> None:
    """Fill the sum, so that one more large value would overflow its column."""
    with connections[alias].cursor() as cursor:
        cursor.execute("UPDATE joblot_metric SET value = %s", [BIGINT_MAX - METRIC_MAX // 2])


@pytest.fixture
def filled(ledger_db: str) -> Iterator[Job]:
    """A job with one item done, whose metric's sum is nearly full; it is not recounted later."""
    job = submit("j", keys(ITEMS + 1), pipeline="p")
    worker.receipts(worker.lease(limit=1), success(0, metrics={"n": 1}))
    fill_sum(ledger_db)
    yield job
    good = sum(one.metrics["n"] for one in Outcome.objects.filter(metrics__isnull=False))
    with connections[ledger_db].cursor() as cursor:
        cursor.execute("UPDATE joblot_metric SET value = %s", [good])


def test_a_sum_that_would_not_fit_rejects_its_result_and_counts_the_others(
    filled: Job,
) -> None:
    lease = worker.lease()
    numbers = worker.numbers(lease)
    given = [success(n, metrics={"n": METRIC_MAX if n == BAD else 1}) for n in numbers]
    receipts = {one.item: one for one in report(lease.token, given)}
    assert {n for n, one in receipts.items() if one.receipt is not Receipt.COUNTED} == {BAD}
    assert receipts[BAD].receipt is Receipt.REJECTED
    assert "the database can't store" in receipts[BAD].reason
    assert worker.fail(lease, BAD) == ["counted"]
    assert counts(filled) == {"succeeded": ITEMS, "failed": 1}
    assert type(metrics(filled)["n"]) is int
    assert metrics(filled)["n"] == BIGINT_MAX - METRIC_MAX // 2 + ITEMS - 1


def test_a_sum_that_no_slot_can_hold_is_left_spread_and_read_all_the_same(
    ledger_db: str,
) -> None:
    """A fold processes everything else."""
    job = submit("j", keys(1), pipeline="p")
    worker.receipts(worker.lease(), success(0, metrics={"n": 1}))
    slots = [
        Metric(job_id=job.pk, stage=0, slot=slot, name="n", value=BIGINT_MAX) for slot in (70, 71)
    ]
    Metric.ledger.using(ledger_db).bulk_create(slots)
    assert fold(job.pk)
    if connections[ledger_db].vendor == "postgresql":  # SQLite has one slot, and no such sum
        assert metrics(job) == {"n": 2 * BIGINT_MAX + 1}
    assert not Tally.objects.filter(slot__gt=0).exists()
    Metric.ledger.using(ledger_db).filter(slot__gte=70).delete()
