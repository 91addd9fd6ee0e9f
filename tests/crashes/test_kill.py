"""kill -9 in the middle of a report and of a submission."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from joblot.ledger.lease import expire
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.crashes.killed import ITEMS
from tests.ledger import worker
from tests.ledger.worker import counts, keys, status, succeed

ROOT = Path(__file__).parents[2]


def kill_in_the_middle(act: str, argument: str) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crashes.killed", act, argument],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)


def test_a_worker_killed_inside_its_report_has_reported_nothing(ledger_db: str) -> None:
    job = submit("killed", keys(ITEMS), pipeline="p")
    lease = worker.lease(limit=ITEMS)
    kill_in_the_middle("report", lease.token)
    assert counts(job) == {}
    assert expire(lease.token, "killed")
    again = worker.lease(limit=ITEMS)
    assert set(succeed(again)) == {"counted"}
    assert set(succeed(lease)) == {"duplicate"}
    assert (counts(job), status(job)) == ({"succeeded": ITEMS}, "SUCCESS")


def test_a_submission_that_was_killed_is_completed_by_submitting_again(ledger_db: str) -> None:
    kill_in_the_middle("submit", "once")
    job = Job.objects.get()
    assert (job.total, job.sealed) == (20, False)
    again = submit("stream", keys(ITEMS), pipeline="p", idempotency_key="once")
    assert (again.pk, again.total, again.sealed) == (job.pk, ITEMS, True)
    worker.drain()
    assert (counts(job), status(job)) == ({"succeeded": ITEMS}, "SUCCESS")
