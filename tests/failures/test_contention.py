"""CT: what results, logs and aggregates wait for."""

from __future__ import annotations

from threading import Event
from typing import Any

from django.db import DatabaseError, connections

from joblot.ledger.job.lifecycle import cancel, pause
from joblot.ledger.read.log_lines import logs
from joblot.ledger.report.hooks import on_result
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import submit
from tests.failures.statements import statements_of, written_by
from tests.ledger import worker
from tests.ledger.worker import counts, keys, status, succeed

HANDLERS = 8


def writes_job_row(statement: str) -> bool:
    locks = "FROM joblot_job " in statement and "FOR UPDATE" in statement
    return "UPDATE joblot_job " in statement or locks


def test_CT1_a_result_neither_writes_nor_locks_its_jobs_row(ledger_db: str) -> None:
    job = submit("ct1", keys(50), pipeline="p")
    lease = worker.lease(limit=16)
    sent = statements_of(lambda: succeed(lease, *range(10)))
    assert sent
    assert not [one for one in sent if writes_job_row(one)]
    pausing = statements_of(lambda: pause(job.pk))
    assert any(writes_job_row(one) for one in pausing)


def test_CT1_results_of_one_job_do_not_wait_for_one_that_is_slow(
    postgres_only: str, in_thread: Any
) -> None:
    job = submit("ct1", keys(8 * HANDLERS), pipeline="p")
    leases = [worker.lease(limit=8) for _ in range(HANDLERS)]
    saving, go_on = Event(), Event()
    in_time: list[bool] = []

    @on_result("p")
    def slow(results: Any) -> None:
        is_first = results[0].number in worker.numbers(leases[0])
        if is_first and not saving.is_set():
            saving.set()
            in_time.append(go_on.wait(30))

    stuck = in_thread(lambda: succeed(leases[0]))
    assert saving.wait(30)
    others = [in_thread(lambda lease=lease: succeed(lease)) for lease in leases[1:]]
    try:
        assert [other.result() for other in others] == [["counted"] * 8] * (HANDLERS - 1)
        assert not stuck.done
        assert counts(job) == {"succeeded": 8 * (HANDLERS - 1)}
    finally:
        go_on.set()
    assert stuck.result() == ["counted"] * 8
    assert in_time == [True], "the others have waited for the slow one"
    assert status(job) == "SUCCESS"


def test_CT2_CT8_a_log_line_is_one_insert_beside_the_job(ledger_db: str) -> None:
    job = submit("ct2", keys(1), pipeline="p")
    sent = written_by(lambda: [log(job.pk, f"line {n}") for n in range(50)])
    assert len(sent) == 50
    assert all(one.startswith("INSERT INTO joblot_log ") for one in sent)
    assert [line["message"] for line in logs(job.pk) if not line["event"]] == [
        f"line {n}" for n in range(50)
    ]


def test_CT9_nothing_is_logged_inside_the_transaction_of_a_result(ledger_db: str) -> None:
    job = submit("ct9", keys(1), pipeline="p")
    kept: list[bool] = []
    on_result("p")(lambda results: kept.append(log(job.pk, "so many a second")))
    sent = written_by(lambda: succeed(worker.lease()))
    assert kept == [False]
    assert not [one for one in sent if "joblot_log " in one]


def test_CT3_a_log_that_fails_takes_no_verb_along(ledger_db: str) -> None:
    job = submit("ct3", keys(2), pipeline="p")
    lease = worker.lease(limit=1)

    @on_result("p")
    def logs_inside(results: Any) -> None:
        log(job.pk, "inside")

    def no_logs(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "joblot_log" in sql:
            raise DatabaseError("the log's table is full")
        return execute(sql, params, many, context)

    with connections[ledger_db].execute_wrapper(no_logs):
        assert log(job.pk, "dropped") is False
        assert succeed(lease) == ["counted"]
        cancel(job.pk, grace_seconds=0)
    assert status(job) == "REVOKED"


def test_CT5_CT6_a_result_costs_the_same_in_a_large_job(ledger_db: str) -> None:
    """No cache is invalidated and nothing of the job is recounted: the same statements run."""

    def said_in_a_job_of(size: int) -> list[str]:
        job = submit("ct6", keys(size), pipeline="p")
        lease = worker.lease(limit=8, job=job.pk)
        sent = statements_of(lambda: succeed(lease))
        return [one for one in sent if "SAVEPOINT" not in one]  # each has its own name

    small = said_in_a_job_of(20)
    assert small
    assert said_in_a_job_of(2000) == small
