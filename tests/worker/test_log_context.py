"""What a worker's function logs names the job, the stage and the lease that it works on."""

from __future__ import annotations

import logging

from joblot.log_context import context_of
from joblot.wire import GrantedLease
from joblot.worker.current import working_on

LEASE = GrantedLease(
    token="5e9c1a2b-7777-4444-8888-999999999999",
    job=7,
    run=1,
    stage="save",
    pipeline="p",
    expires_at="",
    config=None,
    items=(),
    lease_seconds=60.0,
)


def test_a_function_logs_about_its_lease() -> None:
    with working_on(LEASE):
        about = context_of(logging.makeLogRecord({}))
    assert about == {"job": 7, "stage": "save", "lease": LEASE.token}
    assert context_of(logging.makeLogRecord({})) == {}
