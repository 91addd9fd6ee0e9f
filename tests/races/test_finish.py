"""The end of a run: which process writes it if several could, and if one stalls or dies."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db import connections

from joblot import faults
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.maintain.delivery import deliver
from joblot.ledger.maintain.fold import fold
from joblot.ledger.maintain.outbox import fan_out
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.report.hooks import on_event, on_result
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, kinds, numbers, revision, status, succeed
from tests.races.meeting import COMMIT, Gate, holding, until_waiting

FINISH = 'UPDATE "joblot_job"'
LOOK = "FROM joblot_job j"


def last_two(**more: Any) -> tuple[Any, Any, Any]:
    """A job with two open items, each in its own lease."""
    job = submit("last", keys(2), pipeline="p", **more)
    return job, worker.lease(limit=1), worker.lease(limit=1)


def finished_once(job: Any) -> bool:
    return kinds(job).count("finished") == 1


class TestLastAndLast:
    """Two workers report the last two items concurrently."""

    def test_neither_has_reconciled_when_both_have_committed(
        self, postgres_only: str, in_thread: Any
    ) -> None:
        job, first, second = last_two()
        gates = [Gate(LOOK), Gate(LOOK)]
        a = in_thread(gates[0].through(lambda: succeed(first)))
        b = in_thread(gates[1].through(lambda: succeed(second)))
        for gate in gates:
            gate.wait()
        assert status(job) == "STARTED"
        for gate in gates:
            gate.open()
        assert (a.result(), b.result()) == (["counted"], ["counted"])
        assert (status(job), finished_once(job)) == ("SUCCESS", True)

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_both_have_decided_to_finish(
        self, postgres_only: str, in_thread: Any, order: tuple[int, int]
    ) -> None:
        job, first, second = last_two()
        looks = [Gate(LOOK), Gate(LOOK)]
        writes = [Gate(FINISH), Gate(FINISH)]
        calls = [
            in_thread(looks[n].through(writes[n].through(partial(succeed, lease))))
            for n, lease in enumerate((first, second))
        ]
        for gate in looks:
            gate.wait()
        for gate in looks:
            gate.open()
        for gate in writes:
            gate.wait()
        for n in order:
            writes[n].open()
            calls[n].result()
        assert (status(job), finished_once(job)) == ("SUCCESS", True)

    def test_the_first_reconciles_before_the_second_commits(
        self, postgres_only: str, in_thread: Any
    ) -> None:
        on_result("p")(lambda results: None)  # so that the report can be stopped before COMMIT
        job, first, second = last_two()
        gate = Gate(COMMIT)
        b = in_thread(gate.through(lambda: succeed(second)))
        gate.wait()
        assert succeed(first) == ["counted"]
        assert status(job) == "STARTED"
        gate.open()
        b.result()
        assert (status(job), finished_once(job)) == ("SUCCESS", True)


class TestTheFinisherDies:
    def dies(self) -> None:
        raise SystemExit

    def test_between_its_commit_and_its_reconciliation(self, ledger_db: str) -> None:
        job, first, second = last_two()
        succeed(first)
        with (
            faults.armed("report: committed, not looked", self.dies),
            pytest.raises(SystemExit),
        ):
            succeed(second)
        assert status(job) == "STARTED"
        sweep()
        assert (status(job), finished_once(job)) == ("SUCCESS", True)

    def test_and_the_other_posts_again(self, ledger_db: str) -> None:
        job, first, second = last_two()
        succeed(first)
        with (
            faults.armed("report: committed, not looked", self.dies),
            pytest.raises(SystemExit),
        ):
            succeed(second)
        assert succeed(second) == ["duplicate"]
        assert (status(job), finished_once(job)) == ("SUCCESS", True)


class TestAFinishStalledInsideItsStatement:
    """It waits for the job's row; what it has read is stale when it continues."""

    def test_does_not_end_the_next_run(
        self, postgres_only: str, in_thread: Any, connect: Any
    ) -> None:
        job = submit("stall", keys(2), pipeline="p", policy={"failure_threshold": 0})
        lease = worker.lease()
        with holding(connect(), "SELECT 1 FROM joblot_job FOR UPDATE") as cursor:
            stalled = in_thread(lambda: fail(lease))
            until_waiting()
            # Meanwhile another process finishes the run, and an operator retries.
            for change in (
                "status = 'FAILURE', revision = 1, finished_at = now(), recorded = '[]'",
                (
                    "status = 'CREATED', run = 2, revision = 0, recorded = NULL, "
                    "finished_at = NULL, reopening = "
                    '\'{"stage": 0, "number": 0, "start": true, '
                    '"by": {"actor": "", "reason": ""}}\''
                ),
            ):
                cursor.execute(f"UPDATE joblot_job SET version = version + 1, {change}")
            cursor.execute(
                "INSERT INTO joblot_event (job_id, run, revision, kind, data) "
                "VALUES (%s, 1, 1, 'finished', '{\"status\": \"FAILURE\"}')",
                [job.pk],
            )
        assert stalled.result() == ["counted", "counted"]
        assert (status(job), Job.objects.get().run) == ("CREATED", 2)
        sweep()
        assert numbers(worker.lease()) == [0, 1]
        assert kinds(job).count("finished") == 1

    def test_and_another_finish_ends_it_once(
        self, postgres_only: str, in_thread: Any, connect: Any
    ) -> None:
        job, first, second = last_two()
        succeed(first)
        with holding(connect(), "SELECT 1 FROM joblot_job FOR UPDATE"):
            a = in_thread(lambda: succeed(second))
            until_waiting()
            b = in_thread(lambda: reconcile(job.pk))
            until_waiting(2)
        assert a.result() == ["counted"]
        assert b.result() == "SUCCESS"
        assert finished_once(job)


class TestAmendAndFinish:
    """Item 0 is lost, item 1 is the last open one; a late success of item 0 arrives."""

    def set_up(self) -> tuple[Any, Any, Any]:
        job = submit("amend", keys(2), pipeline="p", policy={"expiries_max": 1})
        late, last = worker.lease(limit=1), worker.lease(limit=1)
        expire(late.token)
        expire(worker.lease(limit=1).token)
        assert counts(job) == {"lost": 1}
        return job, late, last

    def test_the_amendment_commits_between_the_finishers_read_and_write(
        self, postgres_only: str, in_thread: Any
    ) -> None:
        job, late, last = self.set_up()
        gate = Gate(FINISH)
        a = in_thread(gate.through(lambda: succeed(last)))
        gate.wait()
        assert succeed(late) == ["amended"]
        gate.open()
        a.result()
        assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 2})
        assert finished_once(job)

    def test_the_amendment_commits_after_the_finish(self, ledger_db: str) -> None:
        job, late, last = self.set_up()
        succeed(last)
        assert status(job) == "COMPLETED_WITH_ERRORS"
        assert succeed(late) == ["amended"]
        assert (status(job), revision(job)) == ("SUCCESS", 2)
        assert kinds(job).count("amended") == 1

    def test_the_amender_dies_before_its_reconciliation(self, ledger_db: str) -> None:
        job, late, last = self.set_up()
        succeed(last)

        def dies() -> None:
            raise SystemExit

        with faults.armed("report: committed, not looked", dies), pytest.raises(SystemExit):
            succeed(late)
        assert (status(job), revision(job)) == ("COMPLETED_WITH_ERRORS", 1)
        sweep()
        assert (status(job), revision(job)) == ("SUCCESS", 2)

    def test_an_amendment_meets_the_fold(self, postgres_only: str, in_thread: Any) -> None:
        job, late, last = self.set_up()
        succeed(last)
        gate = Gate(COMMIT)
        a = in_thread(gate.through(lambda: fold(job.pk)))
        gate.wait()
        b = in_thread(lambda: succeed(late))
        gate.open()
        a.result()
        assert b.result() == ["amended"]
        sweep()
        assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 2})


class TestSealAndLastReport:
    @pytest.mark.parametrize("seal_first", [True, False])
    def test_the_second_one_finishes(
        self, postgres_only: str, in_thread: Any, seal_first: bool
    ) -> None:
        job = submit("open", keys(1), pipeline="p", seal=False)
        lease = worker.lease()
        acts = [lambda: seal(job.pk), lambda: succeed(lease)]
        if not seal_first:
            acts.reverse()
        gate = Gate(LOOK)
        first = in_thread(gate.through(acts[0]))
        gate.wait()
        in_thread(acts[1]).result()
        gate.open()
        first.result()
        assert (status(job), finished_once(job)) == ("SUCCESS", True)


def test_two_fillers_of_one_job_number_each_item_once(postgres_only: str, in_thread: Any) -> None:
    job = submit("fill", pipeline="p", seal=False)
    gate = Gate(COMMIT)
    a = in_thread(gate.through(lambda: add_items(job.pk, keys(50))))
    gate.wait()
    b = in_thread(lambda: add_items(job.pk, keys(60)))
    until_waiting()
    gate.open()
    assert (a.result(), b.result()) == (50, 10)
    assert Job.objects.get().total == 60


def test_two_retries_begin_one_run(postgres_only: str, in_thread: Any) -> None:
    job = submit("retry", keys(3), pipeline="p")
    fail(worker.lease())
    gate = Gate(COMMIT, nth=2)  # the run has begun, but the old leases are not closed yet
    a = in_thread(gate.through(lambda: retry(job.pk).run))
    gate.wait()
    b = in_thread(lambda: retry(job.pk).run)
    until_waiting()  # it has seen the new run, and continues it
    gate.open()
    assert (a.result(), b.result()) == (2, 2)
    assert numbers(worker.lease()) == [0, 1, 2]


def test_an_event_is_handled_once_by_two_processes(postgres_only: str, in_thread: Any) -> None:
    job, first, second = last_two()
    with connections["postgres"].cursor() as cursor:
        cursor.execute("CREATE TABLE told (id bigint)")
    try:

        @on_event("finished")
        def tell(event: Any) -> None:
            with connections["postgres"].cursor() as own:
                own.execute("INSERT INTO told VALUES (%s)", [event.id])

        succeed(first)
        succeed(second)
        fan_out()
        gate = Gate("INSERT INTO told")
        a = in_thread(gate.through(deliver))
        gate.wait()
        assert in_thread(deliver).result() == 0  # it does not wait for the first
        gate.open()
        assert a.result() == 1
        with connections["postgres"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM told")
            assert cursor.fetchone() == (1,)
    finally:
        with connections["postgres"].cursor() as cursor:
            cursor.execute("DROP TABLE told")
    assert status(job) == "SUCCESS"
