"""The usual way to count: read the job's JSON, change it in memory, write it back, no lock.

Each process repeats the reports of one worker, at the moments at which they came. The window in
which counts get lost is only what lies between the read and the write: parsing and adding.
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
    """What such a handler does with each report."""
    job = UnlockedJob.objects.get(pk=job_id)
    stage = job.progress.setdefault(reported.stage, {})
    for outcome in reported.outcomes:
        stage[outcome] = stage.get(outcome, 0) + 1
    job.save()


def main(task: dict[str, Any], parent: Parent) -> None:
    reports = record.read(Path(task["record"]))
    parent.tell(ready=True)
    word = parent.wait()
    if word is None:
        return
    began = time.monotonic()
    for reported in reports:
        ahead = (reported.at - task["began"]) - (time.monotonic() - began)
        if parent.hung_up(max(0.0, ahead)):
            return
        count(word["job"], reported)
    parent.tell(done=True)
