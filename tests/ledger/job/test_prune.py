"""Prune: jobs that ended long ago are removed with all their rows, and no others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps

from joblot.errors import NotFound
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.job.prune import prune
from joblot.ledger.job.removal import go_on
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.progress import progress
from joblot.ledger.report.hooks import on_event
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import submit
from joblot.models import Job, PipelineAsked
from tests.ledger import worker
from tests.ledger.worker import fail, keys, status, succeed

DAY = timedelta(days=1)


def rows() -> dict[str, int]:
    """How many rows of jobs there are; a pipeline is of job 0 unless a claim names one."""
    models = apps.get_app_config("joblot").get_models()
    counts = {m.__name__: m._default_manager.count() for m in models}
    counts["PipelineAsked"] -= PipelineAsked.objects.filter(job_id=0).count()
    return {name: rows for name, rows in counts.items() if rows}


def test_a_job_that_ended_long_ago_is_removed_with_all_its_rows(ledger_db: str, clock: Any) -> None:
    on_event("finished")(lambda event: None)
    job = submit("old", keys(3), pipeline="p", policy={"retry_backoff_seconds": 0})
    lease = worker.lease()
    succeed(lease, 0, output="x")
    succeed(lease, 0, output="conflicting")
    fail(lease, 1)
    fail(lease, 2, retryable=True)
    log(job.pk, "a line")
    succeed(worker.lease())
    sweep()
    assert len(rows()) >= 10
    clock.forward(86_400)
    assert prune(DAY) == 0
    clock.forward(1)
    assert prune(DAY) == 1
    assert rows() == {}
    with pytest.raises(NotFound):
        progress(job.pk)
    assert succeed(lease, 0) == ["rejected"]


def test_what_runs_or_ended_lately_stays(ledger_db: str, clock: Any) -> None:
    running = submit("running", keys(2), pipeline="p")
    succeed(worker.lease(limit=1))
    clock.forward(10 * 86_400)
    lately = submit("lately", keys(1), pipeline="q")
    worker.drain("q")
    canceled = submit("cancelled", keys(1), pipeline="r")
    cancel(canceled.pk, grace_seconds=0)
    assert prune(DAY) == 0
    assert [status(job) for job in (running, lately, canceled)] == [
        "STARTED",
        "SUCCESS",
        "REVOKED",
    ]
    clock.forward(2 * 86_400)
    assert prune(DAY) == 2
    worker.drain("p")
    assert status(running) == "SUCCESS"


def test_a_late_result_of_a_purged_job_changes_no_report(ledger_db: str) -> None:
    job = submit("deleted", keys(4), pipeline="p")
    lease = worker.lease()
    fail(lease, 0)
    succeed(lease, 1, 2, 3)
    delete(job.pk)
    sweep()
    assert succeed(lease, 0) == ["late"]
    sweep()
    kept = Job.objects.get()
    assert (kept.status, kept.revision) == ("COMPLETED_WITH_ERRORS", 1)


def test_a_deleted_job_keeps_its_leases_until_it_is_pruned(ledger_db: str, clock: Any) -> None:
    job = submit("deleted", keys(2), pipeline="p")
    lease = worker.lease()
    delete(job.pk)
    go_on(60)
    assert set(rows()) == {"Job", "Stage", "Lease", "Event"}
    assert succeed(lease) == ["late", "late"]
    clock.forward(2 * 86_400)
    assert prune(DAY) == 1
    assert rows() == {}
