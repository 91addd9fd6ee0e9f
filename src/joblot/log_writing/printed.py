"""What items print, on its way into the job's log in this process's database."""

from __future__ import annotations

import logging
import time

from django.db import DatabaseError

from joblot.errors import JoblotError
from joblot.ledger.db.transactions import savepoint
from joblot.ledger.report.printed import keep_printed
from joblot.log_writing.writer import Logged, writer
from joblot.wire import PRINTED, GrantedLease
from joblot.worker.printed import Put

logger = logging.getLogger("joblot.ledger")


def to_job_log(worker: str) -> Put:
    """A `Put` that hands what this worker's items print to the log's writer, without waiting."""

    def put(lease: GrantedLease, item: int, text: str) -> None:
        about = {"stage": lease.stage, "item": item, "worker": worker, "lease": lease.token}
        writer().put(Logged(lease.job, time.monotonic(), "info", PRINTED, text, about))

    return put


def at_once(lease: GrantedLease, item: int, text: str) -> None:
    """A `Put` that writes into the job's log before it returns, in the caller's transaction.

    In a test's transaction, which never commits, the log's writer would not find the job.
    """
    try:
        with savepoint():
            keep_printed(lease.token, [(item, text)])
    except (JoblotError, DatabaseError) as error:
        about = {"job": lease.job, "item": item}
        logger.warning("what an item printed was not kept: %s", error, extra=about)
