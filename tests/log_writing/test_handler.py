"""JobLogHandler: what code logs about a job is in the job's log, and never in the way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connections, transaction

from joblot import JobLogHandler, job_log
from joblot.ledger.job.lifecycle import delete
from joblot.ledger.read.log_lines import logs
from joblot.ledger.report.hooks import on_result
from joblot.ledger.rows.log import append
from joblot.ledger.submit.submit import submit
from joblot.log_writing import writer as writing
from joblot.models import Job, Log
from tests.ledger import worker
from tests.ledger.conftest import configure, own_hooks
from tests.ledger.worker import TWO_STAGES, counts, keys, succeed

__all__ = ["configure", "own_hooks"]

Configure = Callable[..., None]

SECONDS_MAX = 30


@pytest.fixture
def logger(configure: Configure) -> Iterator[logging.Logger]:
    """A logger with the handler, which writes at once."""
    configure(log_batch_seconds=0.001, log_flush_seconds=SECONDS_MAX, log_retry_seconds=0.01)
    handler, own = JobLogHandler(), logging.getLogger("shop.images")
    own.setLevel(logging.DEBUG)
    own.addHandler(handler)
    yield own
    handler.flush()
    own.removeHandler(handler)


def flush() -> None:
    assert writing.writer().flush(SECONDS_MAX)


def lines(job: Job) -> list[dict[str, Any]]:
    flush()
    return [line for line in logs(job.pk, limit=1_000) if line["event"] is None]


def messages(job: Job) -> list[str]:
    return [line["message"] for line in lines(job)]


def test_a_record_about_a_job_is_a_line_of_its_log(ledger_db: str, logger: Any) -> None:
    job = submit("j", keys(1), stages=TWO_STAGES)
    about = {"job": job.pk, "item": 0, "stage": "save", "worker": "gpu-1", "lease": "5e9c1a2b-77"}
    logger.warning("%d bytes are missing", 12, extra=about)
    (line,) = lines(job)
    assert (line["level"], line["message"], line["source"]) == (
        "warning",
        "12 bytes are missing",
        "shop.images",
    )
    assert (line["item"], line["stage"], line["worker"]) == (0, "save", "gpu-1")
    assert line["lease"] == "5e9c1a2b"


def test_levels_and_a_traceback(ledger_db: str, logger: Any) -> None:
    job = submit("j", keys(1), pipeline="p")
    for level in (5, 10, 20, 30, 40, 50):
        logger.log(level, "at %d", level, extra={"job": job})
    try:
        int("no number")
    except ValueError:
        logger.exception("it failed", extra={"job": job.pk})
    found = lines(job)
    expected = ["debug", "info", "warning", "error", "error", "error"]
    assert [line["level"] for line in found] == expected
    assert found[-1]["message"].startswith("it failed\nTraceback (most recent call last):\n")
    assert found[-1]["message"].endswith("base 10: 'no number'")


def test_inside_a_block_every_record_is_about_its_job(ledger_db: str, logger: Any) -> None:
    job, other = submit("j", keys(2), pipeline="p"), submit("o", keys(2), pipeline="p")
    with job_log(job.pk, item=1):
        logger.info("inside")
        with job_log(other):
            logger.info("further inside")
        logger.info("item 0", extra={"item": 0})
        logger.info("elsewhere", extra={"job": other.pk})
    logger.info("outside")
    assert [(line["message"], line["item"]) for line in lines(job)] == [
        ("inside", 1),
        ("item 0", 0),
    ]
    assert [(line["message"], line["item"]) for line in lines(other)] == [
        ("further inside", None),
        ("elsewhere", None),
    ]


@pytest.mark.parametrize("other", ["nightly", True, None, 0, -1, 2**63, 1.5, object()])
def test_what_is_no_job_of_joblot_is_left_alone(ledger_db: str, logger: Any, other: Any) -> None:
    logger.info("about something else", extra={"job": other})
    logger.info("of a job that there is not", extra={"job": 4711})
    flush()
    assert Log.objects.count() == 0


def test_a_record_that_can_not_be_formatted_fails_nothing(
    ledger_db: str, logger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    job = submit("j", keys(1), pipeline="p")
    logger.info("%d bytes", "many", extra={"job": job.pk})
    logger.info("odd", extra={"job": job.pk, "item": "x", "stage": 7, "worker": object})
    assert messages(job) == ["odd"]


def test_a_line_of_a_transaction_that_is_rolled_back_stays(ledger_db: str, logger: Any) -> None:
    job = submit("j", keys(1), pipeline="p")
    with transaction.atomic(using=ledger_db):
        logger.info("inside", extra={"job": job.pk})
        transaction.set_rollback(True, using=ledger_db)
    assert messages(job) == ["inside"]


def test_a_hook_logs_while_its_transaction_is_open(ledger_db: str, logger: Any) -> None:
    job = submit("j", keys(3), pipeline="p")

    @on_result("p")
    def save(results: Any) -> None:
        for one in results:
            logger.info("saved", extra={"job": one.job_id, "item": one.number})

    assert succeed(worker.lease()) == ["counted"] * 3
    assert [line["item"] for line in lines(job)] == [0, 1, 2]
    assert counts(job) == {"succeeded": 3}


def stopped(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """The writer stands before its first write, until the second event is set."""
    reached, go_on = threading.Event(), threading.Event()

    def standing(job_id: int, given: Any) -> int:
        reached.set()
        assert go_on.wait(SECONDS_MAX)
        return append(job_id, given)

    monkeypatch.setattr("joblot.ledger.rows.log.append", standing)
    return reached, go_on


def test_nobody_waits_for_the_writer_and_what_does_not_fit_is_counted(
    ledger_db: str, logger: Any, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(log_batch_seconds=0.001, log_queue_lines=5, log_flush_seconds=SECONDS_MAX)
    job, other = submit("j", keys(1), pipeline="p"), submit("o", keys(1), pipeline="p")
    reached, go_on = stopped(monkeypatch)
    logger.info("first", extra={"job": job.pk})
    assert reached.wait(SECONDS_MAX)
    for n in range(8):
        logger.info("%d", n, extra={"job": job.pk})
    logger.info("of the other", extra={"job": other.pk})
    go_on.set()
    assert messages(job) == [
        "first",
        *map(str, range(5)),
        "3 lines were dropped here: more was logged than could be written",
    ]
    assert messages(other) == ["1 line was dropped here: more was logged than could be written"]
    logger.info("later", extra={"job": job.pk})
    assert messages(job)[-1] == "later"


def test_lines_wait_for_a_database_that_does_not_answer(
    ledger_db: str, logger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit("j", keys(1), pipeline="p")
    left = [OperationalError("gone"), OperationalError("still gone")]

    def failing(job_id: int, given: Any) -> int:
        if left:
            raise left.pop()
        return append(job_id, given)

    monkeypatch.setattr("joblot.ledger.rows.log.append", failing)
    logger.info("kept", extra={"job": job.pk})
    assert (messages(job), left) == (["kept"], [])


def test_what_the_database_refuses_is_dropped_and_the_rest_goes_on(
    ledger_db: str,
    logger: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job, other = submit("j", keys(1), pipeline="p"), submit("o", keys(1), pipeline="p")

    def refusing(job_id: int, given: Any) -> int:
        if job_id == job.pk:
            raise DatabaseError("the log's table is full")
        return append(job_id, given)

    monkeypatch.setattr("joblot.ledger.rows.log.append", refusing)
    logger.info("refused", extra={"job": job.pk})
    logger.info("kept", extra={"job": other.pk})
    assert (messages(job), messages(other)) == ([], ["kept"])
    assert "1 log lines were dropped: the log's table is full" in caplog.text


def test_what_the_writer_itself_logs_is_not_written(ledger_db: str, configure: Configure) -> None:
    """With the handler on the root logger, and the database's own statements logged."""
    configure(log_batch_seconds=0.001)
    job = submit("j", keys(1), pipeline="p")
    handler, root, sql = (
        JobLogHandler(),
        logging.getLogger(),
        logging.getLogger("django.db.backends"),
    )
    before = root.level, sql.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    sql.setLevel(logging.DEBUG)
    connections[ledger_db].force_debug_cursor = True
    try:
        with job_log(job.pk):
            logging.getLogger("shop").info("one")
            flush()
            flush()
    finally:
        connections[ledger_db].force_debug_cursor = False
        root.removeHandler(handler)
        root.setLevel(before[0])
        sql.setLevel(before[1])
    assert [one for one in messages(job) if "INSERT" in one] == []
    assert "one" in messages(job)


def test_lines_of_a_job_that_is_removed_meanwhile_are_gone(ledger_db: str, logger: Any) -> None:
    job = submit("j", keys(1), pipeline="p")
    delete(job.pk)
    logger.info("too late", extra={"job": job.pk})
    flush()
    assert Log.objects.count() == 0


def test_many_threads_log_and_every_line_is_there_once(
    ledger_db: str, logger: Any, in_thread: Any
) -> None:
    job = submit("j", keys(1), pipeline="p")

    def log_many(name: int) -> None:
        for n in range(50):
            logger.info("%d %d", name, n, extra={"job": job.pk})

    for thread in [in_thread(log_many, name) for name in range(4)]:
        thread.result()
    found = messages(job)
    assert sorted(found) == sorted(f"{name} {n}" for name in range(4) for n in range(50))
    for name in range(4):
        assert [one for one in found if one.startswith(f"{name} ")] == [
            f"{name} {n}" for n in range(50)
        ]
