"""A result that the database refuses affects no other result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard
from uuid import UUID

import pytest
from django.db import connections

from joblot.ledger.maintain.fold import fold
from joblot.ledger.report import group_commit
from joblot.ledger.report.pending_result import PendingResult, prepare
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Metric, Outcome, Tally
from joblot.states import Receipt
from joblot.wire import METRIC_MAX, success
from tests.ledger import worker
from tests.ledger.worker import counts, keys, metrics


def is_pending(one: object) -> TypeGuard[PendingResult]:
    return isinstance(one, PendingResult)


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


@pytest.mark.parametrize("verb", [report, group_commit.report_grouped], ids=["alone", "shared"])
def test_a_sum_that_would_not_fit_rejects_its_result_and_counts_the_others(
    filled: Job, verb: Any
) -> None:
    lease = worker.lease()
    numbers = worker.numbers(lease)
    given = [success(n, metrics={"n": METRIC_MAX if n == BAD else 1}) for n in numbers]
    receipts = {one.item: one for one in verb(lease.token, given)}
    assert {n for n, one in receipts.items() if one.receipt is not Receipt.COUNTED} == {BAD}
    assert receipts[BAD].receipt is Receipt.REJECTED
    assert "the database can't store" in receipts[BAD].reason
    assert worker.fail(lease, BAD) == ["counted"]
    assert counts(filled) == {"succeeded": ITEMS, "failed": 1}
    assert type(metrics(filled)["n"]) is int
    assert metrics(filled)["n"] == BIGINT_MAX - METRIC_MAX // 2 + ITEMS - 1


def test_one_that_the_database_refuses_harms_no_other_of_a_shared_commit(
    filled: Job, postgres_only: str
) -> None:
    bad, good = worker.lease(limit=1), worker.lease()
    group = group_commit.GroupCommit()
    joined = [
        group.join(UUID(lease.token), [one for one in prepare(results) if is_pending(one)])
        for lease, results in (
            (bad, [success(worker.numbers(bad)[0], metrics={"n": METRIC_MAX})]),
            (good, [success(n, metrics={"n": 1}) for n in worker.numbers(good)]),
        )
    ]
    group.lead()
    assert [one.settled for one in joined] == [None, None]
    assert worker.succeed(good) == ["counted"] * (ITEMS - 1)
    assert worker.fail(bad) == ["counted"]


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
