"""Deferred results: noted, named, logged once in a while, and over when they are recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage
from django.db import connections

from joblot.errors import Unavailable
from joblot.ledger import room
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.gauges import gauges
from joblot.ledger.read.log_lines import logs
from joblot.ledger.report.hooks import SettledResult, on_late, on_result
from joblot.ledger.report.report import report
from joblot.ledger.rows import deferrals
from joblot.ledger.submit.submit import submit
from joblot.models import Deferral, Job
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, succeed

RAISED = "on_result('p') raised KeyError: 'x'"


@pytest.fixture(autouse=True)
def nothing_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferrals, "_logged_at", {})


def broken(results: Sequence[SettledResult]) -> None:
    raise KeyError("x")


def deferred() -> int:
    return int(deferrals.current().count())


def gauge() -> float:
    (found,) = (one.value for one in gauges() if one.name == "deferred_results")
    return float(found)


def lines(job: Job) -> list[str]:
    return [line["message"] for line in logs(job.pk, level="warning")]


def noted(job: Job) -> list[tuple[int, str, str]]:
    rows = Deferral.objects.filter(job_id=job.pk).order_by("number")
    return list(rows.values_list("number", "source", "cause"))


def test_the_receipt_says_which_hook_raised_what(ledger_db: str) -> None:
    on_result("p")(broken)
    submit("deferred", keys(1), pipeline="p")
    (receipt,) = report(worker.lease().token, [success(0)])
    assert (receipt.receipt.value, receipt.reason) == ("deferred", f"{RAISED}; post it again later")


def test_each_deferred_result_is_noted_once_however_often_it_is_posted(ledger_db: str) -> None:
    on_result("p")(broken)
    job = submit("deferred", keys(3), pipeline="p")
    lease = worker.lease()
    for _ in range(3):
        succeed(lease, 0, 1)
    assert noted(job) == [(0, "on_result", RAISED), (1, "on_result", RAISED)]
    assert deferred() == 2


def test_a_note_keeps_when_it_began_and_gets_the_last_cause(ledger_db: str, clock: Any) -> None:
    on_result("p")(broken)
    job = submit("deferred", keys(1), pipeline="p")
    lease = worker.lease()
    began = clock.now
    succeed(lease)
    clock.forward(60)

    @on_result("p")
    def other(results: Sequence[SettledResult]) -> None:
        raise ValueError("y")

    succeed(lease)
    row = Deferral.objects.get(job_id=job.pk)
    assert (row.first_at, row.last_at) == (began, clock.now)
    assert row.cause == "on_result('p') raised ValueError: y"


def test_a_gauge_counts_what_is_deferred_now(ledger_db: str, clock: Any) -> None:
    on_result("p")(broken)
    submit("deferred", keys(3), pipeline="p")
    lease = worker.lease()
    succeed(lease)
    clock.forward(59)
    assert gauge() == 3
    succeed(lease, 0)
    clock.forward(2)
    assert gauge() == 1


def test_a_note_is_over_when_the_result_is_recorded(ledger_db: str) -> None:
    on_result("p")(broken)
    submit("deferred", keys(2), pipeline="p")
    lease = worker.lease()
    succeed(lease)
    on_result("p")(lambda results: None)
    succeed(lease, 0)
    assert deferred() == 1
    fail(lease, 1)  # by another attempt
    assert deferred() == 0


def test_of_a_lost_item_it_is_current_until_the_amendment(ledger_db: str) -> None:
    job = submit("deferred", keys(1), pipeline="p", policy={"failures_max": 1})
    lease = worker.lease()
    fail(lease)
    on_result("p")(broken)
    succeed(lease)
    assert deferred() == 1
    on_result("p")(lambda results: None)
    assert succeed(lease) == ["amended"]
    assert deferred() == 0
    assert counts(job) == {"succeeded": 1}


def test_a_note_is_over_and_removed_when_its_result_is_not_posted_again(
    ledger_db: str, clock: Any, configure: Any
) -> None:
    configure(deferral_kept_seconds=100)
    on_result("p")(broken)
    job = submit("deferred", keys(1), pipeline="p")
    succeed(worker.lease())
    clock.forward(99)
    sweep()
    assert deferred() == 1
    clock.forward(2)
    assert deferred() == 0
    sweep()
    assert noted(job) == []


def test_a_late_result_is_noted_until_it_is_kept(ledger_db: str) -> None:
    on_late("p")(broken)
    job = submit("deferred", keys(1), pipeline="p")
    lease = worker.lease()
    cancel(job.pk, grace_seconds=0)
    assert succeed(lease) == ["deferred"]
    assert noted(job) == [(0, "on_late", "on_late('p') raised KeyError: 'x'")]
    assert deferred() == 1
    on_late("p")(lambda results: None)
    assert succeed(lease) == ["late"]
    assert deferred() == 0


def test_a_hook_that_takes_too_long_defers_the_whole_report(ledger_db: str, configure: Any) -> None:
    configure(hook_seconds_max=0.1)

    @on_result("p")
    def slow(results: Sequence[SettledResult]) -> None:
        while True:
            with connections[ledger_db].cursor() as cursor:
                cursor.execute("SELECT 1")

    job = submit("deferred", keys(2), pipeline="p")
    with pytest.raises(Unavailable, match="took longer"):
        succeed(worker.lease())
    cause = "on_result('p') took longer than 0.1 s"
    assert noted(job) == [(0, "on_result", cause), (1, "on_result", cause)]


@pytest.fixture
def no_room() -> Iterator[None]:
    room.limit_to(0)
    yield
    room.limit_to(float("inf"))


def test_a_hook_that_has_no_room_defers_the_whole_report(ledger_db: str, no_room: None) -> None:
    on_result("p")(broken)
    job = submit("deferred", keys(1), pipeline="p")
    with pytest.raises(Unavailable):
        succeed(worker.lease())
    ((_, source, cause),) = noted(job)
    assert source == "on_result"
    assert cause.startswith("on_result('p') could not begin: 0 calls of hooks and of the storage")


class FullStorage(InMemoryStorage):
    def _save(self, name: str, content: Any) -> str:
        raise OSError(28, "No space left on device")


def test_a_storage_that_fails_is_noted_too(ledger_db: str, configure: Any, settings: Any) -> None:
    configure(output_bytes_inline_max=10)
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": f"{FullStorage.__module__}.{FullStorage.__qualname__}"},
    }
    job = submit("deferred", keys(1), pipeline="p")
    assert succeed(worker.lease(), output="x" * 100) == ["deferred"]
    ((_, source, cause),) = noted(job)
    assert source == "storage"
    assert cause == "the storage raised OSError: [Errno 28] No space left on device"
    assert deferred() == 1


def test_the_jobs_log_gets_one_line_in_a_while(ledger_db: str, configure: Any) -> None:
    on_result("p")(broken)
    job = submit("deferred", keys(3), pipeline="p")
    lease = worker.lease()
    for _ in range(3):
        succeed(lease)
    assert lines(job) == [f"3 results were deferred because {RAISED}; to be posted again"]
    configure(deferral_log_seconds=1e-9)
    succeed(lease, 1)
    assert lines(job)[1:] == [f"1 result was deferred because {RAISED}; to be posted again"]


def test_a_hook_that_works_costs_no_statement(ledger_db: str) -> None:
    job = submit("healthy", keys(2), pipeline="p")
    lease = worker.lease()
    on_result("p")(lambda results: None)
    sent: list[str] = []

    def write_down(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        sent.append(sql)
        return execute(sql, *rest)

    with connections[ledger_db].execute_wrapper(write_down):
        succeed(lease)
    assert counts(job) == {"succeeded": 2}
    assert not [sql for sql in sent if "joblot_deferral" in sql]


def test_the_traceback_is_logged_once_in_a_while_and_not_for_each_result(
    ledger_db: str, caplog: pytest.LogCaptureFixture, configure: Any
) -> None:
    on_result("p")(broken)
    submit("deferred", keys(3), pipeline="p")
    lease = worker.lease()
    for _ in range(2):
        assert succeed(lease, 0, 1, 2) == ["deferred"] * 3
    (record,) = (one for one in caplog.records if "on_result failed" in one.getMessage())
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError
    assert noted(Job.objects.get())[2] == (2, "on_result", RAISED)
    configure(deferral_log_seconds=1e-9)
    succeed(lease, 0)
    assert len([one for one in caplog.records if "on_result failed" in one.getMessage()]) > 1


def test_a_note_that_can_not_be_written_fails_no_report(
    ledger_db: str, caplog: pytest.LogCaptureFixture
) -> None:
    on_result("p")(broken)
    submit("deferred", keys(1), pipeline="p")
    lease = worker.lease()

    def refuse(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith("INSERT") and "joblot_deferral" in sql:
            sql = "INSERT INTO no_such_table VALUES (1)"
            return execute(sql, (), *rest[1:])
        return execute(sql, *rest)

    with connections[ledger_db].execute_wrapper(refuse):
        assert succeed(lease) == ["deferred"]
    assert "deferred results could not be noted" in caplog.text
