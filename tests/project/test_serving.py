"""The worker of a project, on a real ledger: its connections, and a database that restarts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, connections

from joblot.ledger.read.audit import audit
from joblot.ledger.read.items import outputs
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.project.order import ProjectOrder
from joblot.project.serving import serve
from joblot.states import TERMINAL
from joblot.testing.postgres import PostgresServer
from joblot.worker import Worker, handler
from tests.polling import eventually
from tests.threads import Threads


@contextmanager
def serving(in_thread: Threads, function: Any) -> Iterator[None]:
    workers: list[Worker] = []
    running = in_thread(serve, ProjectOrder(), [handler("p", function)], workers.append)
    try:
        yield
    finally:
        eventually(lambda: workers)[0].drain()
        assert running.result() == 0


def ended(job: int) -> dict[str, Any]:
    eventually(lambda: progress(job)["status"] in TERMINAL)
    return progress(job)


def test_functions_use_the_models_of_the_project(ledger_db: str, in_thread: Threads) -> None:
    job = submit("named", ["a", "b"], pipeline="p")
    with serving(in_thread, lambda key: Job.objects.get(pk=job.pk).name):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert list(outputs(job.pk)) == [("a", "named"), ("b", "named")]


def test_a_call_that_breaks_the_connection_harms_no_other(
    ledger_db: str, in_thread: Threads
) -> None:
    job = submit("broken", ["alone", "breaks it", "c", "d"], pipeline="p")  # 1 + 3 items

    def count(key: str) -> int:
        connections[ledger_db].ensure_connection()
        if key == "breaks it":
            connections[ledger_db].connection.close()
        return Job.objects.count()

    with serving(in_thread, count):
        stage = ended(job.pk)["stages"][0]
    assert (stage["succeeded"], stage["failed"]) == (3, 1)


def test_a_connection_that_is_too_old_is_replaced_before_the_next_lease(
    ledger_db: str, in_thread: Threads
) -> None:
    job = submit("old", ["a", "b"], pipeline="p")  # the first lease has one item
    seen: list[Any] = []

    def note(key: str) -> None:
        Job.objects.count()
        seen.append(connections[ledger_db].connection)
        connections[ledger_db].close_at = 0.0

    with serving(in_thread, note):
        ended(job.pk)
    assert seen[0] is not seen[1]


def test_a_job_goes_on_after_a_restart_of_the_database(durable_postgres: PostgresServer) -> None:
    job = submit("crash", (f"k{n}" for n in range(400)), pipeline="p")
    calls: Counter[str] = Counter()

    def work(key: str) -> int:
        calls[key] += 1
        try:
            return Job.objects.count()
        except DatabaseError as error:
            raise ConnectionError(str(error)) from error

    with serving(Threads(), work):
        eventually(lambda: len(calls) > 40)
        durable_postgres.stop("immediate")
        connections["postgres"].close()
        durable_postgres.start()
        assert ended(job.pk)["status"] == "SUCCESS"
    assert len(calls) == 400
    assert audit(job.pk)["ok"]


def test_what_a_failed_item_prints_is_kept_with_it(ledger_db: str, in_thread: Threads) -> None:
    job = submit("says", ["a", "bad", "c"], pipeline="p").pk

    def says(key: str) -> None:
        sys.stdout.write(f"looks at {key}\n")
        assert key != "bad"

    with serving(in_thread, says):
        ended(job)
    (line,) = (one for one in logs(job, limit=100) if one["source"] == "printed")
    assert (line["item"], line["message"]) == (1, "looks at bad")
    assert line["worker"]
