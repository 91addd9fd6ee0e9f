"""What happens between the COMMIT of a report and its check, which are one call of a procedure.

The check reads the queue, which settling items of the last stage does not touch. So a test that has
locked the queue's table stops each report right after its COMMIT.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from joblot.errors import Unavailable
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Outcome
from joblot.testing.postgres import PostgresServer
from joblot.wire import GrantedLease, success
from tests.crashes.killed import ITEMS
from tests.ledger import worker
from tests.ledger.worker import counts, keys, kinds, status, succeed
from tests.polling import eventually
from tests.threads import Threads

ROOT = Path(__file__).parents[2]
WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'CALL joblot%'
"""


@contextmanager
def stopped_after_commit() -> Iterator[None]:
    """Inside the block no report gets past its COMMIT."""
    keeper = connections["postgres"].copy()
    keeper.inc_thread_sharing()
    keeper.set_autocommit(False)
    with keeper.cursor() as cursor:
        cursor.execute("LOCK TABLE joblot_range")
    try:
        yield
    finally:
        keeper.close()


def the_last_report() -> tuple[Job, GrantedLease]:
    job = submit("last", keys(ITEMS), pipeline="p")
    return job, worker.lease(limit=ITEMS)


def committed_process() -> int:
    """Wait until the report has committed; returns its process in the database."""

    def waiting() -> Any:
        with connections["postgres"].cursor() as cursor:
            cursor.execute(WAITING)
            return cursor.fetchone()

    (process,) = eventually(waiting)
    assert Outcome.objects.count() == ITEMS
    return int(process)


def ends_once(job: Job, lease: GrantedLease) -> None:
    assert status(job) != "SUCCESS"
    sweep()
    assert set(succeed(lease)) == {"duplicate"}
    sweep()
    assert (counts(job), status(job)) == ({"succeeded": ITEMS}, "SUCCESS")
    assert kinds(job).count("finished") == 1


def test_a_reporter_killed_after_its_commit_has_reported_everything(postgres_only: str) -> None:
    job, lease = the_last_report()
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-m", "tests.crashes.killed", "plain report", lease.token]
    with stopped_after_commit(), subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        committed_process()
        process.send_signal(signal.SIGKILL)
    ends_once(job, lease)


def end(process: int, how: str = "terminate") -> None:
    with connections["postgres"].cursor() as cursor:
        cursor.execute(f"SELECT pg_{how}_backend(%s)", [process])


def test_a_report_whose_connection_ends_after_the_commit_says_that_all_is_recorded(
    postgres_only: str, in_thread: Any
) -> None:
    job, lease = the_last_report()
    with stopped_after_commit():
        reporting = in_thread(lambda: report(lease.token, map(success, range(ITEMS))))
        end(committed_process())
        with pytest.raises(Unavailable, match=f"{ITEMS} of these {ITEMS} results are known"):
            reporting.result()
    ends_once(job, lease)


def test_a_check_that_is_canceled_takes_no_receipt_away(postgres_only: str, in_thread: Any) -> None:
    job, lease = the_last_report()
    with stopped_after_commit():
        reporting = in_thread(lambda: succeed(lease))
        end(committed_process(), "cancel")
        assert set(reporting.result()) == {"counted"}
    assert (status(job), kinds(job).count("finished")) == ("SUCCESS", 1)


def test_a_server_that_crashes_after_the_commit_has_everything(
    durable_postgres: PostgresServer,
) -> None:
    job, lease = the_last_report()
    with stopped_after_commit():
        reporting = Threads()(lambda: report(lease.token, map(success, range(ITEMS))))
        committed_process()
        durable_postgres.stop("immediate")
        with pytest.raises(Unavailable, match="report all of them again, each counts once"):
            reporting.result()
    connections["postgres"].close()
    durable_postgres.start()
    assert Outcome.objects.count() == ITEMS
    ends_once(job, lease)
