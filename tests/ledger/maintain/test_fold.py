"""Fold: the sums stay the same, and so do later changes."""

from __future__ import annotations

from typing import Any

from django.db.models import Count

from joblot import faults
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.fold import fold
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Metric, Tally
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, metrics, revision, status, succeed


class Cut(Exception):
    """The reporting process dies here."""


def die() -> None:
    raise Cut


def spread(in_thread: Any) -> Job:
    """A job of two stages, counted through several connections, one item failed."""
    job = submit("spread", keys(8), stages=TWO_STAGES)

    def work(pipeline: str) -> None:
        lease = worker.lease(pipeline, limit=2)
        results = [success(n, metrics={"bytes": n + 1, "seen": 1}) for n in worker.numbers(lease)]
        report(lease.token, [failure(7, "Bad") if r.item == 7 else r for r in results])

    for pipeline in "pppp":
        in_thread(work, pipeline).result()
    while not worker.nothing("q", job=-1) or status(job) == "STARTED":
        in_thread(work, "q").result()
    return job


def test_folding_keeps_every_sum(ledger_db: str, in_thread: Any) -> None:
    job = spread(in_thread)
    before = progress(job.pk) | {"as_of": None}
    assert status(job) == "COMPLETED_WITH_ERRORS"
    for _ in range(2):
        fold(job.pk)
        assert progress(job.pk) | {"as_of": None} == before
        assert {tally.slot for tally in Tally.objects.all()} == {0}
        assert {metric.slot for metric in Metric.objects.all()} == {0}
    rows = Tally.objects.values("stage").annotate(rows=Count("slot"))
    assert {row["rows"] for row in rows} == {1}


def test_the_sweep_folds_what_has_ended_and_only_that(ledger_db: str) -> None:
    ended = submit("ended", keys(1), pipeline="p")
    worker.drain()
    running = submit("running", keys(2), pipeline="p")
    succeed(worker.lease(limit=1))
    sweep()
    assert {tally.slot for tally in Tally.objects.filter(job_id=ended.pk)} == {0}
    assert 0 not in {tally.slot for tally in Tally.objects.filter(job_id=running.pk)}


def test_amendments_after_folding_are_counted_published_and_folded_again(ledger_db: str) -> None:
    job = submit("amend", keys(3), pipeline="p")
    lease = worker.lease()
    fail(lease)
    sweep()
    assert report(lease.token, [success(0, metrics={"bytes": 3})])[0].receipt == "amended"
    assert (counts(job), metrics(job)) == ({"succeeded": 1, "failed": 2}, {"bytes": 3})
    sweep()
    assert {tally.slot for tally in Tally.objects.all()} == {0}
    assert report(lease.token, [success(1, metrics={"bytes": 4})])[0].receipt == "amended"
    assert (counts(job), metrics(job)) == ({"succeeded": 2, "failed": 1}, {"bytes": 7})
    assert (status(job), revision(job)) == ("COMPLETED_WITH_ERRORS", 3)


def test_an_amendment_that_was_not_reconciled_is_published_though_it_was_folded(
    ledger_db: str,
) -> None:
    """It commits after the sweep has reconciled and before it folds, and its reporter dies."""
    job = submit("amend", keys(1), pipeline="p")
    lease = worker.lease()
    fail(lease)
    with faults.armed("report: committed, not looked", die):
        try:
            succeed(lease)
        except Cut:
            fold(job.pk)
    sweep()
    assert (status(job), revision(job)) == ("SUCCESS", 2)


def test_late_results_are_folded_too(ledger_db: str) -> None:
    job = submit("late", keys(2), pipeline="p")
    lease = worker.lease()
    cancel(job.pk, grace_seconds=0)
    succeed(lease, 0)
    sweep()
    succeed(lease, 1)
    sweep()
    assert progress(job.pk)["finished_after_cancel"] == 2
    assert {tally.slot for tally in Tally.objects.all()} == {0}


def test_a_retry_after_folding_counts_on(ledger_db: str) -> None:
    job = submit("retry", keys(4), stages=TWO_STAGES)
    lease = worker.lease("p")
    fail(lease, 0)
    succeed(lease, 1, 2, 3)
    succeed(worker.lease("q"))
    sweep()
    retry(job.pk)
    worker.drain("p", "q")
    sweep()
    assert status(job) == "SUCCESS"
    assert [counts(job, n) for n in (0, 1)] == [{"succeeded": 4}] * 2
