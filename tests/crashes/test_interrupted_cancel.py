"""A cancel whose connection ends in the middle of its procedure, which commits after each step."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from joblot.errors import Unavailable
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import keys, kinds, status, succeed
from tests.polling import eventually
from tests.races.meeting import holding

TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
      AND query LIKE 'CALL joblot_cancel%'
"""
STEPS = {
    "delete the ranges": "LOCK TABLE joblot_range",
    "close the leases": "SELECT 1 FROM joblot_lease FOR UPDATE",
}


def has_ended_one() -> bool:
    with connections["postgres"].cursor() as cursor:
        cursor.execute(TERMINATE)
        return bool(cursor.rowcount == 1)


@pytest.mark.parametrize("step", STEPS)
def test_a_cancel_whose_connection_ends_is_continued_by_the_next_call(
    postgres_only: str, in_thread: Any, connect: Any, step: str
) -> None:
    job = submit("cut", keys(4), pipeline="p")
    lease = worker.lease(limit=2)
    with holding(connect(), STEPS[step]):
        canceling = in_thread(lambda: cancel(job.pk, grace_seconds=0))
        eventually(has_ended_one)
        with pytest.raises(Unavailable, match="repeating the request is safe"):
            canceling.result()
    assert status(job) == "CANCELING"
    assert worker.nothing()
    assert cancel(job.pk, grace_seconds=0).status == "REVOKED"
    assert succeed(lease) == ["late", "late"]
    assert kinds(job) == ["started", "claimed", "canceling", "finished"]
