"""What items print, on its way into the job's log in this process's database."""

from __future__ import annotations

import time

from joblot.log_writing.writer import Logged, writer
from joblot.wire import PRINTED, GrantedLease
from joblot.worker.printed import Put


def to_job_log(worker: str) -> Put:
    """A `Put` that hands what this worker's items print to the log's writer, without waiting."""

    def put(lease: GrantedLease, item: int, text: str) -> None:
        about = {"stage": lease.stage, "item": item, "worker": worker, "lease": lease.token}
        writer().put(Logged(lease.job, time.monotonic(), "info", PRINTED, text, about))

    return put
