"""Whether a job may be due is asked after the commit, and only a range never granted says no."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.ledger.lease import expire, release
from joblot.ledger.report.at_once import may_be_due
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, kinds, status, succeed
from tests.races.meeting import Gate

pytestmark = pytest.mark.usefixtures("postgres_only")


def test_what_was_open_before_the_commit_may_be_settled_by_then(in_thread: Any) -> None:
    """Asked in the snapshot of the report, the job would stay open: the first report sees a range
    that was never granted, and the second does not see the first.
    """
    job = submit("last", keys(2), pipeline="p")
    first = worker.lease(limit=1)
    gate = Gate("-- step: commit")
    stopped = in_thread(gate.through(lambda: succeed(first)))
    gate.wait()
    assert in_thread(lambda: succeed(worker.lease())).result() == ["counted"]
    assert status(job) == "STARTED"
    gate.open()
    assert stopped.result() == ["counted"]
    assert (status(job), kinds(job).count("finished")) == ("SUCCESS", 1)


def test_a_range_that_expired_may_hold_only_what_is_settled() -> None:
    job = submit("back", keys(1), pipeline="p")
    lease = worker.lease()
    expire(lease.token)
    assert may_be_due(job.pk, 0)
    assert succeed(lease) == ["counted"]
    assert status(job) == "SUCCESS"


def test_so_may_one_that_was_released() -> None:
    job = submit("back", keys(1), pipeline="p")
    lease = worker.lease()
    release(lease.token)
    assert succeed(lease) == ["counted"]
    assert status(job) == "SUCCESS"


def test_so_may_an_item_that_failed_and_waits_for_its_next_attempt() -> None:
    job = submit("back", keys(1), pipeline="p")
    lease = worker.lease()
    assert fail(lease, retryable=True) == ["requeued"]
    assert succeed(lease) == ["counted"]
    assert status(job) == "SUCCESS"


def test_while_a_range_was_never_granted_nothing_is_due() -> None:
    job = submit("long", keys(600), pipeline="p")
    succeed(worker.lease(limit=1))
    assert not may_be_due(job.pk, 0)
    assert not may_be_due(job.pk, 1)


def test_an_alert_is_due_while_items_wait() -> None:
    job = submit("bad", keys(600), pipeline="p", policy={"alert_failed_items": 0})
    assert not may_be_due(job.pk, 0)
    assert fail(worker.lease(limit=1)) == ["counted"]
    assert kinds(job).count("failing") == 1
    assert counts(job) == {"failed": 1}
