"""Removal: nothing is added to a job once it has begun, and its rows are removed in small steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connections, transaction

from joblot import faults
from joblot.config import limits
from joblot.errors import NotFound, Unavailable
from joblot.ledger.job import lifecycle, removal
from joblot.ledger.job.prune import prune
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, renew
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.report.hooks import on_event
from joblot.ledger.report.report import report
from joblot.ledger.rows import deferrals
from joblot.ledger.rows.deferrals import Deferred
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Event, Job, Lease, Log, Outcome, PipelineAsked, Tally
from joblot.states import RETRYABLE, TERMINAL, LeaseState
from joblot.testing.simulator import recount
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.statuses import Cut, die, job_in
from tests.ledger.worker import TWO_STAGES, fail, keys, kinds, receipts, status, succeed

ANY_AGE = timedelta(seconds=-1)
SMALL = {"removal_rows_first": 2, "removal_rows_max": 3, "close_leases_batch": 2}


def rows() -> dict[str, int]:
    """How many rows of jobs there are; a pipeline is of job 0 unless a claim names one."""
    models = apps.get_app_config("joblot").get_models()
    counts = {m.__name__: m._default_manager.count() for m in models}
    counts["PipelineAsked"] -= PipelineAsked.objects.filter(job_id=0).count()
    return {name: rows for name, rows in counts.items() if rows}


def worked(items: int = 7) -> Job:
    """An ended job with rows in every table; a success may still arrive by an expired lease."""
    on_event("finished")(lambda event: None)
    job = submit("worked", keys(items), stages=TWO_STAGES, policy={"retry_backoff_seconds": 0})
    first = worker.lease("p", limit=1, job=job.pk)
    expire(first.token)
    fail(worker.lease("p", limit=1))
    again = worker.lease("p", limit=2)
    fail(again, retryable=True)
    lease = worker.lease("p")
    report(lease.token, [success(n, {"n": n}, {"bytes": n}) for n in worker.numbers(lease)])
    succeed(lease, worker.numbers(lease)[0], output="conflicting")
    worker.drain("p", "q")
    log(job.pk, "a line")
    deferrals.note(job.pk, 0, [Deferred(0, "on_result", "it failed")])
    sweep()
    assert status(job) == "COMPLETED_WITH_ERRORS"
    return job


# The mark


@pytest.mark.parametrize("wanted", sorted(TERMINAL))
def test_a_job_that_is_being_removed_is_refused_by_every_verb(ledger_db: str, wanted: Any) -> None:
    job = job_in(wanted)
    lifecycle.delete(job.pk)
    verbs: list[Callable[[], object]] = [
        *(lambda verb=verb: verb(job.pk) for verb in (lifecycle.start, lifecycle.pause)),
        *(lambda verb=verb: verb(job.pk) for verb in (lifecycle.resume, lifecycle.cancel)),
        *(lambda verb=verb: verb(job.pk) for verb in (retry, lifecycle.delete, seal)),
        lambda: add_items(job.pk, ["more"]),
    ]
    before = Job.objects.values().get()
    for verb in verbs:
        with pytest.raises(NotFound):
            verb()
    assert reconcile(job.pk) is None
    assert not log(job.pk, "a line")
    assert Job.objects.values().get() == before


@pytest.mark.parametrize(
    "change",
    [
        "status = 'CREATED', run = run + 1",
        "deleted_at = NULL",
        "idempotency_key = 'mine'",
        "total = total + 1",
        "revision = revision + 1, recorded = '[]'",
        "sealed = NOT sealed",
    ],
)
def test_the_database_refuses_a_change_of_a_job_that_is_being_removed(
    ledger_db: str, change: str
) -> None:
    job = job_in(min(RETRYABLE))
    lifecycle.delete(job.pk)
    with pytest.raises(DatabaseError, match="removed"), transaction.atomic(using=ledger_db):
        execute(ledger_db, f"UPDATE joblot_job SET {change}, version = version + 1")


def test_the_database_refuses_the_removal_of_a_job_that_has_not_ended(ledger_db: str) -> None:
    job = submit("running", keys(2), pipeline="p")
    with pytest.raises(DatabaseError, match="removed"), transaction.atomic(using=ledger_db):
        execute(ledger_db, "UPDATE joblot_job SET deleted_at = now(), version = version + 1")
    assert status(job) == "PENDING"


def test_the_idempotency_key_is_free_as_soon_as_a_removal_has_begun(ledger_db: str) -> None:
    first = submit("keyed", keys(2), pipeline="p", idempotency_key="once")
    worker.drain()
    with faults.armed("removal: begun", die), pytest.raises(Cut):
        prune(ANY_AGE)
    again = submit("keyed", keys(2), pipeline="p", idempotency_key="once")
    assert again.pk != first.pk
    assert status(again) == "PENDING"


def test_what_was_counted_before_the_removal_is_published_and_what_comes_after_is_late(
    ledger_db: str,
) -> None:
    """The reporter of the amendment died before reconciling."""
    job = submit("amended", keys(2), pipeline="p")
    first = worker.lease()
    expire(first.token)
    fail(worker.lease())
    with faults.armed("report: committed, not looked", die), pytest.raises(Cut):
        succeed(first, 0)
    lifecycle.delete(job.pk)
    assert [e.kind for e in Event.objects.order_by("pk")][-3:] == ["finished", "amended", "deleted"]
    (answer,) = report(first.token, [success(1)])
    assert (answer.receipt, answer.reason) == ("late", "the job was deleted")
    sweep()
    (answer,) = report(first.token, [success(1)])
    assert (answer.receipt, answer.reason) == ("late", "the job was deleted")
    assert Event.objects.latest("pk").kind == "deleted"


def test_a_removal_first_closes_the_leases_through_which_an_item_may_be_settled(
    ledger_db: str, caches_kept: None
) -> None:
    job = submit("closing", keys(3), pipeline="p")
    expired = worker.lease(limit=1)
    expire(expired.token)
    leases = [worker.lease(limit=1), worker.lease()]
    fail(leases[0])
    fail(leases[1])
    assert status(job) == "FAILURE"
    with faults.armed("removal: begun", die), pytest.raises(Cut):
        prune(ANY_AGE)
    found = dict(Lease.objects.values_list("pk", "state"))
    closed = {str(token) for token, state in found.items() if state == LeaseState.CLOSED}
    assert closed == {expired.token}
    assert set(found.values()) == {LeaseState.CLOSED, LeaseState.SPENT}
    with pytest.raises(Exception, match="closed"):
        renew(leases[0].token)


# Rows are removed in small steps


class Watched:
    """The effects of a call: rows per DELETE, and DELETEs per transaction."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.rows_max = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        done = execute(sql, params, many, context)
        if sql.startswith("DELETE"):
            table = sql.split()[2].strip('"')
            self.rows[table] += context["cursor"].rowcount
            self.rows_max = max(self.rows_max, context["cursor"].rowcount)
        return done


@contextmanager
def watched(alias: str) -> Iterator[Watched]:
    seen = Watched()
    with connections[alias].execute_wrapper(seen):
        yield seen


def test_no_statement_of_a_removal_takes_more_rows_than_the_limit(
    ledger_db: str, configure: Any
) -> None:
    job = submit("large", keys(300), stages=TWO_STAGES)
    worker.drain("p", "q")
    assert status(job) == "SUCCESS"
    configure(removal_rows_first=4, removal_rows_max=10)
    with watched(ledger_db) as seen:
        assert prune(ANY_AGE) == 1
    assert rows() == {}
    assert seen.rows["joblot_item"] == 300
    assert seen.rows["joblot_outcome"] == 600
    assert seen.rows_max <= 10 * len(TWO_STAGES)


def test_fewer_rows_are_taken_where_they_take_longer(ledger_db: str, configure: Any) -> None:
    submit("slow", keys(64), pipeline="p")
    worker.drain()
    configure(removal_rows_first=16, removal_seconds_aimed=1e-9)
    with watched(ledger_db) as seen:
        assert prune(ANY_AGE) == 1
    assert seen.rows_max <= 16
    assert rows() == {}


def test_a_slow_commit_does_not_lead_to_a_transaction_for_each_row(
    ledger_db: str, configure: Any
) -> None:
    configure(removal_rows_first=16, removal_rows_max=64, removal_seconds_aimed=1e-9)
    asked: list[int] = []

    def remove(_job: int, items: int) -> int:
        asked.append(items)
        return 0 if len(asked) > 8 else items

    assert sum(removal._Pace().chunks(remove, 1)) == 8 * 16
    assert set(asked) == {16}


@pytest.mark.parametrize("how", ["prune", "delete"])
def test_a_removal_may_die_at_any_statement_and_be_gone_on_with(
    ledger_db: str, configure: Any, how: str
) -> None:
    configure(**SMALL)
    job, survived = worked(), 0
    for statement in range(1_000):
        with dying(ledger_db, statement) as died, suppress(Cut):
            prune(ANY_AGE) if how == "prune" else remove_by_the_sweep(job.pk)
        recount.check_all()
        if not died:
            break
        survived += 1
    assert survived > 15
    prune(ANY_AGE)
    assert rows() == {}


def remove_by_the_sweep(job_id: int) -> None:
    if Job.objects.filter(deleted_at__isnull=True):
        lifecycle.delete(job_id)
    sweep()


@contextmanager
def dying(alias: str, statement: int) -> Iterator[list[bool]]:
    """The process dies before this statement, from 0; its open transaction is rolled back."""
    left, died = [statement], list[bool]()

    def strike(execute: Any, *args: Any) -> Any:
        if left[0] == 0:
            died.append(True)
            raise Cut
        left[0] -= 1
        return execute(*args)

    with connections[alias].execute_wrapper(strike):
        yield died


def test_the_sweep_goes_on_with_a_prune_that_died(ledger_db: str, configure: Any) -> None:
    configure(**SMALL)
    job = worked()
    with faults.armed("removal: begun", die), pytest.raises(Cut):
        prune(ANY_AGE)
    sweep()
    left = rows()
    assert left.keys() == {"Job", "Stage", "Lease", "Event", "Delivery"}
    assert prune(ANY_AGE) == 1
    assert rows() == {}
    assert not Job.objects.filter(pk=job.pk).exists()


def test_a_sweep_removes_for_a_bounded_time_and_the_next_goes_on(
    ledger_db: str, configure: Any
) -> None:
    job = submit("large", keys(20), pipeline="p")
    lifecycle.delete(job.pk)
    configure(removal_rows_first=2, removal_rows_max=2, removal_seconds_per_sweep=1e-9)
    left = [Job.objects.get().total]
    while left[-1]:
        sweep()
        left.append(Job.objects.get().total)
        recount.check_all()
    assert len(left) > 10


def test_a_removal_that_fails_keeps_the_sweep_from_nothing(
    ledger_db: str, configure: Any, clock: Any
) -> None:
    """Of two jobs being removed, one can't be locked; the other is removed."""
    stuck, other = (submit(name, keys(n), pipeline="p") for name, n in (("one", 1), ("two", 2)))
    for job in (stuck, other):
        lifecycle.delete(job.pk)
    configure(conflict_retries_max=1)

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('DELETE FROM "joblot_item"') and stuck.pk in params:
            raise Unavailable("the database is busy")
        return execute(sql, params, many, context)

    with connections[ledger_db].execute_wrapper(refuse):
        removal.go_on(60)
    assert dict(Job.objects.values_list("pk", "total")) == {stuck.pk: 1, other.pk: 0}
    clock.forward(limits().sweep_backoff_seconds)
    sweep()
    assert not Job.objects.filter(total__gt=0)


def test_a_removal_holds_out_under_a_short_statement_timeout(
    postgres_only: str, configure: Any
) -> None:
    """Statements that would take too long process one part at a time."""
    job = submit(
        "timed", ({"key": f"k{n}", "payload": "x" * 4_000} for n in range(4_000)), pipeline="p"
    )
    lifecycle.delete(job.pk)
    execute(postgres_only, "SET statement_timeout = '2s'")
    try:
        with watched(postgres_only) as seen:
            removal.go_on(60)
    finally:
        execute(postgres_only, "RESET statement_timeout")
    assert seen.rows["joblot_item"] == 4_000
    assert seen.rows_max <= limits().removal_rows_max
    assert Job.objects.get().total == 0


def test_a_late_result_that_came_while_rows_went_goes_with_the_leases(ledger_db: str) -> None:
    job = submit("late", keys(2), pipeline="p")
    lease = worker.lease()
    lifecycle.delete(job.pk)
    sweep()
    assert receipts(lease, success(0, "kept")) == ["late"]
    assert Tally.objects.filter(slot__gt=0).exists()
    assert sweep().jobs_reconciled == 0
    prune(ANY_AGE)
    assert rows() == {}


def test_a_line_that_is_logged_while_its_job_goes_does_not_outlive_it(
    ledger_db: str, configure: Any
) -> None:
    job = submit("logged", keys(1), pipeline="p")
    worker.drain()

    pruned: list[int] = []

    def prune_meanwhile(execute: Any, sql: str, *args: Any) -> Any:
        done = execute(sql, *args)
        if not pruned and sql.startswith("SELECT") and "joblot_event" in sql:
            pruned.append(0)
            pruned.append(prune(ANY_AGE))
        return done

    with connections[ledger_db].execute_wrapper(prune_meanwhile):
        assert not log(job.pk, "a line")
    assert pruned == [0, 1]
    assert not Log.objects.exists()


def test_a_removed_job_leaves_those_of_others_alone(ledger_db: str) -> None:
    mine, other = worked(), worked()
    before = rows()
    lifecycle.delete(mine.pk)
    assert removal.finish(mine.pk)
    assert {table: 2 * n for table, n in rows().items()} == before
    assert kinds(other)[-1] == "finished"
    assert Outcome.objects.filter(job_id=other.pk).exists()


def execute(alias: str, statement: str) -> None:
    if alias == "sqlite":
        statement = statement.replace("now()", "'2030-01-01'")
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
