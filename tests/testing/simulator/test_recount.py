"""The recount accepts a job as written by the ledger, and finds any changed row."""

from __future__ import annotations

import pytest
from django.db import connections

from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.testing.simulator import recount
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, keys

SPOILED = [
    "DELETE FROM joblot_item WHERE number = 3",
    "DELETE FROM joblot_outcome WHERE stage = 0 AND number = 0",
    "UPDATE joblot_outcome SET state = 2 WHERE stage = 0 AND number = 0",
    "UPDATE joblot_outcome SET stage = 1, number = 3 WHERE stage = 1",
    "UPDATE joblot_outcome SET metrics = NULL WHERE stage = 0 AND number = 0",
    "UPDATE joblot_tally SET succeeded = succeeded + 1 WHERE stage = 0",
    "UPDATE joblot_tally SET late = late + 1 WHERE stage = 0",
    "UPDATE joblot_metric SET value = value + 1",
    "UPDATE joblot_range SET next = next + 1 WHERE stage = 0",
    "UPDATE joblot_lease SET size = size + 1 WHERE stage = 0",
    "UPDATE joblot_lease SET open = open + 1 WHERE state = 1",
    "UPDATE joblot_lease SET state = 2 WHERE state = 0",
    "UPDATE joblot_event SET kind = 'finished' WHERE kind = 'started'",
    "UPDATE joblot_event SET kind = 'amended' WHERE kind = 'started'",
]


@pytest.fixture
def job(ledger_db: str) -> Job:
    """One item is done, one in the second stage, one leased, one waiting."""
    made = submit("recounted", keys(4), stages=TWO_STAGES)
    first = worker.lease(limit=2)
    report(first.token, [success(item.id, metrics={"m": 2}) for item in first.items])
    worker.succeed(worker.lease(TWO_STAGES[1]["pipeline"], limit=1))
    worker.lease(TWO_STAGES[0]["pipeline"], limit=1)
    return Job.objects.get(pk=made.pk)


def test_it_holds_for_what_the_ledger_wrote(job: Job) -> None:
    recount.check_all()


@pytest.mark.parametrize("sql", SPOILED)
def test_it_finds_each_row_that_is_not_as_it_was(ledger_db: str, job: Job, sql: str) -> None:
    with connections[ledger_db].cursor() as cursor:
        cursor.execute(sql)
        assert cursor.rowcount > 0
    with pytest.raises(AssertionError):
        recount.check_all()
