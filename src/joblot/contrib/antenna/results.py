"""POST jobs/{id}/result: the results of a batch."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from joblot.api.body import bounded
from joblot.config import limits
from joblot.contrib.antenna import turnover
from joblot.contrib.antenna.entries import entries
from joblot.contrib.antenna.intake import Intake
from joblot.contrib.antenna.job_ids import JobStage
from joblot.contrib.antenna.limits import antenna_limits
from joblot.contrib.antenna.worker import worker_of
from joblot.identity.caller import Caller
from joblot.states import Receipt


def post_results(request: HttpRequest, caller: Caller, job: str) -> dict[str, Any]:
    """Accept results, each on its own; posting the same again is always safe.

    The lease in `reply_subject` is the right to report and determines the job. Nothing is refused
    because the job has ended, or because the path names another one.
    """
    most = caller.body_bytes_max or antenna_limits().body_bytes_max
    posted = entries(bounded(request, most), "results", limits().output_bytes_max)
    judged = Intake().take(posted)
    done = sum(one.status != Receipt.REJECTED for one in judged)
    turnover.add(worker_of(request, caller), JobStage.of(int(job)).job, done)
    return {
        "status": "accepted",
        "job_id": int(job),
        "results_queued": done,
        "tasks": [one.as_json() for one in judged],
    }
