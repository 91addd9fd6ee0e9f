"""Hooks: saved if and only if counted; one bad item affects no other; nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.transaction import atomic

from joblot.errors import PermanentError, Unavailable
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.report.hooks import SettledResult, on_late, on_result
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Uncounted
from joblot.states import Receipt
from joblot.wire import failure, success
from tests import databases
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, metrics, status, succeed

Saved = Callable[[], dict[str, str]]


def insert(key: str, value: Any = "") -> None:
    with connections[databases.current()].cursor() as cursor:
        cursor.execute("INSERT INTO saved_row (key, value) VALUES (%s, %s)", [key, str(value)])


def save(results: Sequence[SettledResult]) -> None:
    for result in results:
        insert(result.key, result.output)


def test_what_is_counted_is_saved_and_a_repeat_saves_nothing(ledger_db: str, saved: Saved) -> None:
    on_result("p")(save)
    job = submit("save", keys(4), pipeline="p")
    lease = worker.lease()
    assert succeed(lease, 0, 1, output="x") == ["counted"] * 2
    assert succeed(lease, 0, 1, output="x") == ["duplicate"] * 2
    assert succeed(lease, 0, output="y") == ["conflicting"]
    assert fail(lease, 2) == ["counted"]
    assert fail(lease, 3, retryable=True) == ["requeued"]
    assert saved() == {"k0": "x", "k1": "x"}
    assert counts(job) == {"succeeded": 2, "failed": 1}


def test_a_hook_gets_all_that_is_known_of_a_batch_in_order(ledger_db: str) -> None:
    got: list[list[SettledResult]] = []
    on_result("q")(lambda results: got.append(list(results)))
    given = [{"key": f"k{n}", "payload": {"n": n}} for n in range(3)]
    job = submit("payloads", given, stages=TWO_STAGES, config={"c": 1})
    succeed(worker.lease("p"), output="read")
    assert got == []
    report(worker.lease("q").token, [success(n, [n], {"bytes": n}) for n in (2, 0, 1)])
    (batch,) = got
    assert batch == [
        SettledResult(job.pk, 1, "save", n, f"k{n}", {"n": n}, [n], {"bytes": n}, {"c": 1})
        for n in range(3)
    ]


def test_a_permanent_error_fails_that_item_only(ledger_db: str, saved: Saved) -> None:
    @on_result("p")
    def strict(results: Sequence[SettledResult]) -> None:
        save(results)
        if any(result.output == "bad" for result in results):
            raise PermanentError("too dark")

    job = submit("strict", keys(3), pipeline="p")
    lease = worker.lease()
    answers = report(
        lease.token, [success(0, "ok"), success(1, "bad", {"bytes": 9}), success(2, "ok")]
    )
    assert [answer.receipt for answer in answers] == [Receipt.COUNTED] * 3
    assert "too dark" in answers[1].reason
    assert saved() == {"k0": "ok", "k2": "ok"}
    assert counts(job) == {"succeeded": 2, "failed": 1}
    assert metrics(job) == {}
    (failed,) = items(job.pk, state="failed")
    error = failed["outcomes"][0]["error"]
    assert (error["type"], error["message"]) == ("PermanentError", "too dark")
    assert status(job) == "COMPLETED_WITH_ERRORS"


@pytest.mark.parametrize("message", ["a\x00b", "\ud800", "x" * 100_000])
def test_a_permanent_error_may_say_anything(ledger_db: str, message: str) -> None:
    @on_result("p")
    def refuse(results: Sequence[SettledResult]) -> None:
        raise PermanentError(message)

    job = submit("refused", keys(2), pipeline="p")
    assert succeed(worker.lease()) == ["counted"] * 2
    assert counts(job) == {"failed": 2}


def test_a_transient_error_defers_that_item_only_and_it_counts_later(
    ledger_db: str, saved: Saved
) -> None:
    down = {"k1"}

    @on_result("p")
    def flaky(results: Sequence[SettledResult]) -> None:
        save(results)
        if any(result.key in down for result in results):
            raise ConnectionError("the other service is down")

    job = submit("flaky", keys(3), pipeline="p")
    lease = worker.lease()
    answers = report(lease.token, [success(n, "x") for n in range(3)])
    assert [answer.receipt for answer in answers] == ["counted", "deferred", "counted"]
    assert "the other service is down" in answers[1].reason
    assert saved().keys() == {"k0", "k2"}
    assert counts(job) == {"succeeded": 2}
    assert progress(job.pk)["stages"][0]["in_flight"] == 1
    down.clear()
    assert succeed(lease, 1, output="x") == ["counted"]
    assert saved().keys() == {"k0", "k1", "k2"}
    assert status(job) == "SUCCESS"


def test_a_deferred_item_goes_back_when_its_worker_dies(ledger_db: str, saved: Saved) -> None:
    @on_result("p")
    def down(results: Sequence[SettledResult]) -> None:
        raise TimeoutError

    job = submit("flaky", keys(1), pipeline="p")
    lease = worker.lease()
    assert succeed(lease) == ["deferred"]
    expire(lease.token)
    on_result("p")(save)
    assert succeed(worker.lease()) == ["counted"]
    assert status(job) == "SUCCESS"


@pytest.mark.parametrize("caught", [False, True])
def test_a_row_that_exists_already_defers_its_item_only(
    ledger_db: str, saved: Saved, *, caught: bool
) -> None:
    """An IntegrityError in the hook, re-raised or swallowed without a savepoint."""

    @on_result("p")
    def inserts(results: Sequence[SettledResult]) -> None:
        for result in results:
            try:
                insert(result.key, "new")
            except Exception:
                if not caught:
                    raise

    insert("k1", "old")
    job = submit("clash", keys(3), pipeline="p")
    lease = worker.lease()
    receipts = succeed(lease)
    swallowed = (
        caught and ledger_db == "sqlite"
    )  # there a failed statement does not abort the transaction
    assert receipts == ["counted", "counted" if swallowed else "deferred", "counted"]
    assert saved() == {"k0": "new", "k1": "old", "k2": "new"}
    assert counts(job) == {"succeeded": 3 if swallowed else 2}


def test_a_statement_that_failed_in_the_hook_defers_its_item_only(
    ledger_db: str, saved: Saved
) -> None:
    """On PostgreSQL, a statement that exceeded the adopter's own time limit."""
    failing = {
        "postgres": "SET LOCAL statement_timeout = 10; SELECT pg_sleep(60)",
        "sqlite": "SELECT * FROM no_such_table",
    }
    bad = {"k1"}

    @on_result("p")
    def slow(results: Sequence[SettledResult]) -> None:
        save(results)
        if any(result.key in bad for result in results):
            with connections[ledger_db].cursor() as cursor:
                for statement in failing[ledger_db].split("; "):
                    cursor.execute(statement)

    job = submit("slow", keys(3), pipeline="p")
    lease = worker.lease()
    answers = report(lease.token, [success(n, "x") for n in range(3)])
    assert [answer.receipt for answer in answers] == ["counted", "deferred", "counted"]
    assert "OperationalError" in answers[1].reason
    assert saved().keys() == {"k0", "k2"}
    bad.clear()
    assert succeed(lease, 1) == ["counted"]
    assert (counts(job), status(job)) == ({"succeeded": 3}, "SUCCESS")


def test_another_database_that_is_away_defers_what_needs_it(ledger_db: str, saved: Saved) -> None:
    @on_result("p")
    def away(results: Sequence[SettledResult]) -> None:
        save(results)
        raise OperationalError("connection to server at 10.0.0.7 failed: Connection refused")

    job = submit("away", keys(2), pipeline="p")
    lease = worker.lease()
    assert succeed(lease) == ["deferred"] * 2
    assert (saved(), counts(job)) == ({}, {})
    on_result("p")(save)
    assert succeed(lease) == ["counted"] * 2


@pytest.mark.parametrize("then", ["is told", "is swallowed", "becomes another error"])
def test_a_transaction_that_is_lost_in_the_hook_is_unavailable_and_settles_nothing(
    ledger_db: str, saved: Saved, then: str
) -> None:
    """On PostgreSQL the connection is lost; on SQLite, which has none, the disk is full."""
    losing = {"postgres": "SELECT pg_terminate_backend(pg_backend_pid())", "sqlite": "ROLLBACK"}

    @on_result("p")
    def loses(results: Sequence[SettledResult]) -> None:
        save(results)
        swallowed = [] if then == "is told" else [OperationalError]
        with suppress(*swallowed), connections[ledger_db].cursor() as cursor:
            cursor.execute(losing[ledger_db])
        if then == "becomes another error":
            raise ValueError

    job = submit("lost", keys(2), pipeline="p")
    lease = worker.lease()
    with pytest.raises(Unavailable):
        succeed(lease)
    assert (saved(), counts(job)) == ({}, {})
    on_result("p")(save)
    assert succeed(lease) == ["counted"] * 2


def test_an_error_swallowed_in_a_block_without_savepoint_defers_what_was_rolled_back(
    ledger_db: str, saved: Saved
) -> None:
    @on_result("p")
    def swallows(results: Sequence[SettledResult]) -> None:
        save(results)
        with suppress(ValueError), atomic(using=ledger_db, savepoint=False):
            raise ValueError

    job = submit("swallowed", keys(2), pipeline="p")
    assert succeed(worker.lease()) == ["deferred"] * 2
    assert (saved(), counts(job)) == ({}, {})


def test_a_hook_sees_only_what_is_newly_counted(ledger_db: str, saved: Saved) -> None:
    on_result("p")(save)
    submit("mixed", keys(3), pipeline="p")
    lease = worker.lease()
    succeed(lease, 0)
    assert succeed(lease, 0, 1, 2) == ["duplicate", "counted", "counted"]
    assert saved().keys() == {"k0", "k1", "k2"}


def test_an_amendment_is_saved_too(ledger_db: str, saved: Saved) -> None:
    on_result("p")(save)
    job = submit("amend", keys(2), pipeline="p")
    lease = worker.lease()
    fail(lease, 0, 1)
    assert succeed(lease, 0, output="after all") == ["amended"]
    assert saved() == {"k0": "after all"}
    assert status(job) == "COMPLETED_WITH_ERRORS"


def test_an_amendment_that_its_hook_refuses_leaves_the_item_failed(
    ledger_db: str, saved: Saved
) -> None:
    @on_result("p")
    def refuse(results: Sequence[SettledResult]) -> None:
        raise PermanentError("no")

    def breaks(results: Sequence[SettledResult]) -> None:
        raise ZeroDivisionError

    job = submit("amend", keys(1), pipeline="p")
    lease = worker.lease()
    fail(lease)
    assert succeed(lease) == ["duplicate"]
    assert counts(job) == {"failed": 1}
    on_result("p")(breaks)
    assert succeed(lease) == ["deferred"]
    assert counts(job) == {"failed": 1}


def test_a_success_through_an_expired_lease_that_the_hook_refuses_leaves_the_item_open(
    ledger_db: str,
) -> None:
    @on_result("p")
    def refuse(results: Sequence[SettledResult]) -> None:
        raise PermanentError("no")

    job = submit("stale", keys(1), pipeline="p")
    lease = worker.lease()
    expire(lease.token)
    assert succeed(lease) == ["superseded"]
    assert counts(job) == {}
    assert succeed(worker.lease()) == ["counted"]
    assert counts(job) == {"failed": 1}


def test_the_config_that_a_hook_gets_is_the_runs(ledger_db: str) -> None:
    got: list[Any] = []
    on_result("p")(lambda results: got.extend(r.config for r in results))
    job = submit("config", keys(2), pipeline="p", config=1)
    succeed(worker.lease(limit=1))
    cancel(job.pk, grace_seconds=0)
    retry(job.pk, config=2)
    succeed(worker.lease())
    assert got == [1, 2]


# on_late


def test_on_late_gets_an_item_once(ledger_db: str, saved: Saved) -> None:
    on_late("p")(save)
    job = submit("late", keys(2), pipeline="p")
    lease = worker.lease()
    cancel(job.pk, grace_seconds=0)
    for _ in range(3):
        assert succeed(lease, 0, output="late") == ["late"]
    assert fail(lease, 1) == ["late"]
    assert saved() == {"k0": "late"}
    assert progress(job.pk)["finished_after_cancel"] == 1


def test_on_late_that_fails_is_deferred_and_called_again(ledger_db: str, saved: Saved) -> None:
    @on_late("p")
    def down(results: Sequence[SettledResult]) -> None:
        save(results)
        raise ConnectionError

    job = submit("late", keys(1), pipeline="p")
    lease = worker.lease()
    cancel(job.pk, grace_seconds=0)
    assert succeed(lease) == ["deferred"]
    assert (saved(), Uncounted.objects.count()) == ({}, 0)
    on_late("p")(save)
    assert succeed(lease) == ["late"]
    assert saved().keys() == {"k0"}
    assert progress(job.pk)["finished_after_cancel"] == 1


def test_on_late_that_refuses_for_good_is_not_asked_again(ledger_db: str) -> None:
    calls: list[int] = []

    @on_late("p")
    def refuse(results: Sequence[SettledResult]) -> None:
        calls.append(1)
        raise PermanentError("not wanted")

    job = submit("late", keys(1), pipeline="p")
    lease = worker.lease()
    cancel(job.pk, grace_seconds=0)
    assert succeed(lease) == ["late"]
    assert succeed(lease) == ["late"]
    assert calls == [1]
    assert progress(job.pk)["finished_after_cancel"] == 1


def test_on_late_is_not_called_for_an_item_that_was_purged(ledger_db: str) -> None:
    calls: list[Any] = []
    on_late("p")(calls.append)
    job = submit("late", keys(1), pipeline="p")
    lease = worker.lease()
    delete(job.pk)
    sweep()
    assert succeed(lease) == ["late"]
    assert calls == []


def test_a_hook_of_one_pipeline_leaves_others_alone(ledger_db: str, saved: Saved) -> None:
    on_result("q")(save)
    job = submit("both", keys(2), stages=TWO_STAGES)
    assert report(worker.lease("p").token, [failure(0, "Bad"), success(1)])
    assert saved() == {}
    succeed(worker.lease("q"))
    assert saved().keys() == {"k1"}
    assert [counts(job, n) for n in (0, 1)] == [
        {"succeeded": 1, "failed": 1},
        {"succeeded": 1, "skipped": 1},
    ]
