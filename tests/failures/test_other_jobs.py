"""OT: jobs other than machine learning: exports, imports, regroupings."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, status, succeed


def test_OT1_what_is_finished_is_at_100_percent(ledger_db: str) -> None:
    """The percentage is derived, never set, so no job can end without it."""
    job = submit("an export", ["all"], pipeline="p")
    succeed(worker.lease(), output={"link": "/export.zip"})
    assert (status(job), progress(job.pk)["percent"]) == ("SUCCESS", 100)


@pytest.mark.parametrize("shape", [{"pipeline": "p"}, {"stages": TWO_STAGES}])
def test_OT2_a_job_of_nothing_completes_at_100_percent(ledger_db: str, shape: Any) -> None:
    job = submit("nothing to export", [], **shape)
    assert (status(job), progress(job.pk)["percent"]) == ("SUCCESS", 100)


def test_OT3_a_sub_step_that_fails_is_part_of_the_outcome(ledger_db: str) -> None:
    job = submit("sync", ["all"], stages=TWO_STAGES)
    succeed(worker.lease("p"))
    assert status(job) == "STARTED"
    fail(worker.lease("q"))
    assert (status(job), counts(job, 1)) == ("FAILURE", {"failed": 1})


def test_OT4_a_failed_item_is_no_success_and_stops_no_other(ledger_db: str) -> None:
    job = submit("in process", keys(6), pipeline="p")
    lease = worker.lease()
    succeed(lease, 0, 1)
    fail(lease, 2)
    succeed(lease, 3, 4, 5)
    assert counts(job) == {"succeeded": 5, "failed": 1}
    assert status(job) == "COMPLETED_WITH_ERRORS"
