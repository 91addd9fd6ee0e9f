"""A typical counter: read the job's JSON, change it in memory, write it back, without a lock.

Each process repeats one worker's reports at the times at which they came. The window in which
counts get lost is only the time between read and write: parsing and adding.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from joblot.demo.models import UnlockedJob
from joblot.testing.crew import record
from joblot.testing.crew.child import Parent
from joblot.testing.crew.record import Reported


def count(job_id: int, reported: Reported) -> None:
    """Process one report as such a handler would."""
    job = UnlockedJob.objects.get(pk=job_id)
    stage = job.progress.setdefault(reported.stage, {})
    for outcome in reported.outcomes:
        stage[outcome] = stage.get(outcome, 0) + 1
    job.save()


def main(task: dict[str, Any], parent: Parent) -> None:
    reports = record.read(Path(task["record"]))
    parent.send(ready=True)
    word = parent.wait()
    if word is None:
        return
    began = time.monotonic()
    for reported in reports:
        ahead = (reported.at - task["began"]) - (time.monotonic() - began)
        if parent.hung_up(max(0.0, ahead)):
            return
        count(word["job"], reported)
    parent.send(counted=True)
