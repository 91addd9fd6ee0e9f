"""How fast the jobs of a list are: from the last 15 minutes, for all of them by two statements."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from joblot.ledger.job.lifecycle import pause
from joblot.ledger.job.retry import retry
from joblot.ledger.read.pace import UNKNOWN, Pace, paces
from joblot.ledger.read.progress import progress
from joblot.ledger.read.snapshot import snapshots
from joblot.ledger.rows.sampling import SAMPLE_SECONDS
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Sample
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import drain, keys


@pytest.fixture(autouse=True)
def standing_still(clock: Clock) -> None:
    """A busy machine takes no time."""


def begun_before(using: str, job: Job, seconds: float) -> None:
    """Let the job have been started earlier."""
    at = datetime.fromisoformat(progress(job.pk)["as_of"]) - timedelta(seconds=seconds)
    with connections[using].cursor() as cursor:  # the guard allows only the ledger to change this
        cursor.execute(
            "UPDATE joblot_job SET started_at = %s, version = version + 1 WHERE id = %s",
            [connections[using].ops.adapt_datetimefield_value(at), job.pk],
        )


def sampled(using: str, job: Job, seconds_ago: float, *settled: int, run: int = 1) -> None:
    at = datetime.fromisoformat(progress(job.pk)["as_of"]) - timedelta(seconds=seconds_ago)
    Sample.ledger.using(using).create(
        job_id=job.pk,
        tick=int(at.timestamp() // SAMPLE_SECONDS),
        run=run,
        at=at,
        stages=[[count, 0, 0] for count in settled],
        in_flight=0,
        workers=1,
    )


def pace(job: Job) -> Pace:
    return paces([progress(job.pk)])[job.pk]


def seconds_until(moment: str | None, job: Job) -> float:
    assert moment is not None
    now = datetime.fromisoformat(progress(job.pk)["as_of"])
    return (datetime.fromisoformat(moment) - now).total_seconds()


def test_a_young_job_is_measured_from_its_start(ledger_db: str) -> None:
    job = submit("tiles", keys(600), pipeline="p")
    worker.succeed(worker.lease(limit=200))
    begun_before(ledger_db, job, 120)
    found = pace(job)
    assert found.per_minute == pytest.approx(100, rel=0.02)
    assert seconds_until(found.p50_at, job) == pytest.approx(240, abs=10)
    assert seconds_until(found.p90_at, job) == pytest.approx(262, abs=12)


def test_an_old_one_from_its_first_sample_of_15_minutes(ledger_db: str) -> None:
    """What it did yesterday plays no part."""
    job = submit("tiles", keys(600), pipeline="p")
    worker.succeed(worker.lease(limit=200))
    begun_before(ledger_db, job, 80_000)
    for seconds, settled in ((70_000, 10), (1_200, 90), (600, 100), (300, 190)):
        sampled(ledger_db, job, seconds, settled)
    found = pace(job)
    assert found.per_minute == pytest.approx(10, rel=0.05)
    assert seconds_until(found.p50_at, job) == pytest.approx(2_400, rel=0.05)


def test_the_slowest_stage_ends_the_job(ledger_db: str) -> None:
    job = submit("tiles", keys(300), stages=worker.TWO_STAGES)
    worker.succeed(worker.lease("p", limit=300))
    worker.succeed(worker.lease("q", limit=100))
    begun_before(ledger_db, job, 100)
    found = pace(job)
    assert found.per_minute == pytest.approx(240, rel=0.02)
    assert seconds_until(found.p50_at, job) == pytest.approx(200, abs=10)


def test_one_that_stands_still_has_no_end(ledger_db: str) -> None:
    job = submit("tiles", keys(600), pipeline="p")
    worker.succeed(worker.lease(limit=200))
    begun_before(ledger_db, job, 80_000)
    sampled(ledger_db, job, 600, 200)
    assert pace(job) == Pace(0.0)


def test_it_is_too_early_for_an_end_before_the_page_names_one(ledger_db: str) -> None:
    job = submit("tiles", keys(600), pipeline="p")
    settled = len(worker.succeed(worker.lease(limit=64)))
    assert pace(job) == UNKNOWN
    begun_before(ledger_db, job, 120)
    assert pace(job)[1:] == (None, None)
    assert pace(job).per_minute == pytest.approx(settled / 2, rel=0.02)


def test_a_paused_an_ended_and_a_new_run_are_not_measured(ledger_db: str) -> None:
    paused = submit("tiles", keys(600), pipeline="p")
    worker.succeed(worker.lease(limit=200))
    begun_before(ledger_db, paused, 120)
    pause(paused.pk)
    ended = submit("tiles", keys(3), pipeline="q")
    worker.fail(worker.lease("q", limit=1))
    drain("q")
    waiting = submit("tiles", keys(3), pipeline="r")
    assert [pace(one) for one in (paused, ended, waiting)] == [UNKNOWN] * 3
    sampled(ledger_db, ended, 300, 3)
    retry(ended.pk)
    worker.lease("q", limit=1)
    assert pace(ended) == UNKNOWN  # its sample is of the run before


def test_a_page_of_jobs_is_two_statements(ledger_db: str) -> None:
    jobs = []
    for n in range(50):
        job = submit(f"job {n}", keys(4), pipeline=f"p{n}")
        worker.succeed(worker.lease(f"p{n}", limit=2))
        begun_before(ledger_db, job, 80_000 if n % 2 else 120)
        jobs.append(job)
    for job in jobs[1::2]:
        sampled(ledger_db, job, 300, 1)
    with CaptureQueriesContext(connections[ledger_db]) as asked:
        found = snapshots([job.pk for job in jobs])
    assert [one["pace"]["per_minute"] is not None for one in found] == [True] * 50
    assert len([one for one in asked if "SELECT" in one["sql"]]) == 2
