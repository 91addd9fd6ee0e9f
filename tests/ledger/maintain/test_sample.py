"""Samples: one row per job and tick, fewer as they grow old, none for what does not run."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.ledger.db import statements
from joblot.ledger.job.lifecycle import cancel, delete, pause, resume
from joblot.ledger.job.removal import finish
from joblot.ledger.maintain import sample as module
from joblot.ledger.maintain.sample import sample
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.rows.sampling import SAMPLE_SECONDS, THINNED
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Sample, SweepFailure
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import TWO_STAGES, drain, fail, keys, succeed


def samples(job: Job) -> list[Sample]:
    return list(Sample.objects.filter(job_id=job.pk).order_by("tick"))


def test_a_sample_has_the_counts_and_what_is_in_flight(ledger_db: str, clock: Clock) -> None:
    job = submit("x", keys(10), stages=TWO_STAGES)
    lease = worker.lease("p", 5, worker="gpu-1")
    succeed(lease, 0, 1)
    fail(lease, 2)
    worker.lease("p", 1, worker="gpu-2")
    sample()
    (found,) = samples(job)
    assert found.stages == [[2, 1, 0], [0, 0, 1]]
    assert (found.run, found.in_flight, found.workers) == (1, 3, 2)
    assert found.at == clock.now


def test_there_is_one_in_ten_seconds_however_many_sweep(ledger_db: str, clock: Clock) -> None:
    job = submit("x", keys(1), pipeline="p")
    worker.lease("p")
    for _ in range(15):
        sweep()
        sample()
        clock.forward(2)
    assert len(samples(job)) == 3


def test_two_sweeps_at_once_write_one_row(ledger_db: str, clock: Clock, in_thread: Any) -> None:
    job = submit("x", keys(1), pipeline="p")
    worker.lease("p")
    module._sample([job.pk], 7)
    in_thread(module._sample, [job.pk], 7).result()
    assert len(samples(job)) == 1


def test_only_what_was_begun_and_has_not_ended_is_sampled(ledger_db: str) -> None:
    waiting = submit("waiting", keys(1), pipeline="q")
    done = submit("done", keys(1), pipeline="p")
    drain("p")
    canceled = submit("canceled", keys(1), pipeline="p")
    worker.lease("p")
    cancel(canceled.pk, grace_seconds=0)
    paused = submit("paused", keys(1), pipeline="p")
    worker.lease("p")
    pause(paused.pk)
    sample()
    assert [len(samples(job)) for job in (waiting, done, canceled, paused)] == [0, 0, 0, 1]
    resume(paused.pk)


def test_old_samples_are_thinned_out(ledger_db: str, clock: Clock) -> None:
    """Two days of samples: all of the last 15 minutes, and a few hundred in all."""
    job = submit("x", keys(1), pipeline="p", policy={"lease_seconds": 7 * 86_400})
    worker.lease("p")
    sample()
    (first,) = samples(job)
    row = {"job_id": job.pk, "run": 1, "stages": first.stages, "in_flight": 1, "workers": 1}
    ticks = range(first.tick + 1, first.tick + 2 * 8_640)
    Sample.ledger.bulk_create(
        [Sample(tick=tick, at=clock.now, **row) for tick in ticks], batch_size=1_000
    )
    clock.forward(2 * 86_400)
    sample()
    now = int(clock.now.timestamp()) // SAMPLE_SECONDS
    found = [one.tick for one in samples(job)]
    assert found[-90:] == list(range(now - 89, now + 1))
    for age, every in THINNED:
        assert all(tick % every == 0 for tick in found if tick < now - age)
    assert len(found) < 360


def test_a_job_that_cannot_be_sampled_delays_no_other(
    ledger_db: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = (submit(name, keys(1), pipeline="p") for name in ("bad", "good"))
    worker.lease("p"), worker.lease("p")
    execute = statements.execute

    def refuse(conn: Any, name: str, *, jobs: list[int], tick: int) -> None:
        if bad.pk in jobs:
            raise ValueError("no sample of this one")
        execute(conn, name, jobs=jobs, tick=tick)

    monkeypatch.setattr(module, "execute", refuse)
    sweep()
    assert (len(samples(bad)), len(samples(good))) == (0, 1)
    assert SweepFailure.objects.filter(job_id=bad.pk, step="sample").count() == 1
    monkeypatch.undo()
    clock.forward(60)
    sweep()
    assert len(samples(bad)) == 1
    assert not SweepFailure.objects.exists()


def test_samples_are_removed_with_their_job(ledger_db: str) -> None:
    job = submit("x", keys(1), pipeline="p")
    worker.lease("p")
    sample()
    delete(job.pk)
    finish(job.pk)
    assert not Sample.objects.exists()
