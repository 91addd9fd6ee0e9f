"""Reports that share a commit: each is judged and answered as if it had come alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models.functions import Now

from joblot.errors import WorkerRevoked
from joblot.ledger.lease import expire
from joblot.ledger.read.progress import progress
from joblot.ledger.report import group_commit
from joblot.ledger.report.hooks import on_result
from joblot.ledger.rows import pipelines_claimed
from joblot.ledger.submit.submit import submit
from joblot.models import Lease as LeaseRow
from joblot.models import Outcome, WorkerInstance
from joblot.wire import GrantedLease, failure, success
from tests.ledger import worker
from tests.ledger.report import test_report
from tests.ledger.report.test_report import *  # noqa: F403 (the same behavior, through group commit)
from tests.ledger.worker import TWO_STAGES, counts, keys, kinds, metrics, numbers, status
from tests.polling import eventually
from tests.races.meeting import Gate, holding, until_waiting

pytestmark = pytest.mark.usefixtures("postgres_only")

STATEMENT = "CALL joblot_report_1"


@pytest.fixture(autouse=True)
def by_sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "report", group_commit.report_grouped)
    monkeypatch.setattr(test_report, "report", group_commit.report_grouped)


def receipts(lease: GrantedLease, *results: Any) -> list[str]:
    return [one.receipt.value for one in group_commit.report_grouped(lease.token, results)]


class Pile:
    """While a first report is held before its statement, others queue up behind it."""

    def __init__(self, in_thread: Any) -> None:
        self._in_thread = in_thread
        self._gate = Gate(STATEMENT)
        self._first: Any = None
        self._behind: list[Any] = []

    def first(self, lease: GrantedLease, *results: Any) -> None:
        self._first = self._in_thread(self._gate.through(lambda: receipts(lease, *results)))
        self._gate.wait()

    def behind(self, lease: GrantedLease, *results: Any, gate: Gate | None = None) -> Any:
        waiting = group_commit.group_of("postgres")._waiting
        before = len(waiting)

        def act() -> list[str]:
            return receipts(lease, *results)

        one = self._in_thread(gate.through(act) if gate else act)
        self._behind.append(one)
        eventually(lambda: len(waiting) > before)
        return one

    def go_first(self) -> None:
        self._gate.open()
        self._first.result()

    def go(self) -> tuple[list[str], list[list[str]]]:
        self._gate.open()
        return self._first.result(), [one.result() for one in self._behind]


@pytest.fixture
def pile(in_thread: Any) -> Pile:
    return Pile(in_thread)


def statements() -> int:
    """The number of statements that wrote the outcomes: the rows of one share a timestamp."""
    return Outcome.objects.values("settled_at").distinct().count()


def leases_of(job_count: int, leases: int, **more: Any) -> list[GrantedLease]:
    for number in range(job_count):
        submit(f"job {number}", keys(2 * leases // job_count), **({"pipeline": "p"} | more))
    return [worker.lease(limit=2) for _ in range(leases)]


def test_those_that_pile_up_are_settled_by_one_statement(pile: Pile) -> None:
    first, *others = leases_of(2, 10, pipeline=None, stages=TWO_STAGES)
    pile.first(first, *(success(n, metrics={"bytes": 5}) for n in numbers(first)))
    for lease in others:
        one, other = numbers(lease)
        pile.behind(lease, success(one, metrics={"bytes": 10}), failure(other, "Bad"))
    assert pile.go() == (["counted"] * 2, [["counted"] * 2] * 9)
    assert statements() == 2
    jobs = {lease.job for lease in [first, *others]}
    state = [progress(job) for job in jobs]
    assert sum(one["stages"][0]["succeeded"] for one in state) == 11
    assert sum(one["stages"][0]["failed"] for one in state) == 9
    assert sum(one["stages"][1]["skipped"] for one in state) == 9
    assert sum(one["stages"][1]["ready"] for one in state) == 11
    assert sum(one["stages"][0]["metrics"]["bytes"] for one in state) == 100


def test_the_last_of_them_finishes_the_job_once(pile: Pile) -> None:
    job = submit("night", keys(6), pipeline="p")
    first, *others = [worker.lease(limit=2) for _ in range(3)]
    pile.first(first, *map(success, numbers(first)))
    for lease in others:
        pile.behind(lease, *map(success, numbers(lease)))
    pile.go()
    assert status(job) == "SUCCESS"
    assert kinds(job).count("finished") == 1


def test_a_report_that_comes_twice_at_once_is_counted_once(pile: Pile) -> None:
    first, other = leases_of(1, 2)
    pile.first(first, success(0))
    for _ in range(2):
        pile.behind(other, *map(success, numbers(other)))
    _, answers = pile.go()
    assert sorted(answers) == [["counted"] * 2, ["duplicate"] * 2]


def test_an_item_through_two_leases_at_once_is_counted_once(pile: Pile) -> None:
    job = submit("night", keys(2), pipeline="p")
    old = worker.lease(limit=1)
    first = worker.lease(limit=1)
    expire(old.token)
    new = worker.lease()
    assert numbers(old) == numbers(new)
    pile.first(first, success(numbers(first)[0]))
    pile.behind(old, success(numbers(old)[0], "a"))
    pile.behind(new, success(numbers(new)[0], "a"))
    _, answers = pile.go()
    assert sorted(answers) == [["counted"], ["duplicate"]]
    assert counts(job) == {"succeeded": 2}


def test_a_lease_that_somebody_holds_keeps_no_other_waiting(pile: Pile) -> None:
    first, held, free = leases_of(1, 3)
    pile.first(first, success(0))
    pile.behind(held, *map(success, numbers(held)))
    pile.behind(free, *map(success, numbers(free)))
    with transaction.atomic(using="postgres"):
        LeaseRow.ledger.using("postgres").select_for_update().get(pk=held.token)
        pile._gate.open()
        assert pile._behind[1].result() == ["counted"] * 2
        assert not pile._behind[0].done
    assert pile._behind[0].result() == ["counted"] * 2
    assert pile._first.result() == ["counted"]


def test_a_report_that_is_alone_in_its_commit_does_not_wait_either(
    in_thread: Any, connect: Any
) -> None:
    """It would keep those from beginning that come meanwhile."""
    held, free = leases_of(1, 2)
    lock = "SELECT 1 FROM joblot_lease WHERE token = %s FOR UPDATE"
    with holding(connect(), lock, [held.token]):
        waits = in_thread(lambda: receipts(held, *map(success, numbers(held))))
        until_waiting()
        report = in_thread(lambda: receipts(free, *map(success, numbers(free))))
        assert report.result() == ["counted"] * 2
        assert not waits.done
    assert waits.result() == ["counted"] * 2


def test_a_revoked_worker_is_refused_in_a_shared_commit(pile: Pile) -> None:
    submit("night", keys(3), pipeline="p")
    first, revoked, other = (worker.lease(limit=1, worker=name) for name in ("a", "b", "c"))
    pile.first(first, success(0))
    refused = pile.behind(revoked, success(1))
    answered = pile.behind(other, success(2))
    WorkerInstance.ledger.using("postgres").filter(instance="b").update(revoked_at=Now())
    pile.go_first()
    assert answered.result() == ["counted"]
    assert isinstance(refused.error(), WorkerRevoked)
    assert LeaseRow.objects.get(pk=revoked.token).open == 1


def test_a_hook_of_one_of_them_is_called(pile: Pile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has claimed its lease, so only the database knows of which pipeline it is."""
    got: list[str] = []
    on_result("q")(lambda results: got.extend(one.key for one in results))
    first, plain = leases_of(1, 2)
    submit("hooked", ["hooked"], pipeline="q")
    hooked = worker.lease("q")
    monkeypatch.setattr(pipelines_claimed, "_pipelines", {})
    pile.first(first, success(0))
    pile.behind(hooked, success(0))
    pile.behind(plain, *map(success, numbers(plain)))
    assert pile.go() == (["counted"], [["counted"], ["counted"] * 2])
    assert got == ["hooked"]


def test_each_goes_alone_when_the_shared_statement_fails(pile: Pile, connect: Any) -> None:
    first, other = leases_of(1, 2)
    pids: list[int] = []

    def dying() -> list[str]:
        connections["postgres"].ensure_connection()
        pids.append(connections["postgres"].connection.info.backend_pid)
        return receipts(first, success(0))

    pile._first = pile._in_thread(pile._gate.through(dying))
    pile._gate.wait()
    pile.behind(other, *map(success, numbers(other)))
    with connect().cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", pids)
    answer, others = pile.go()
    assert (answer, others) == (["counted"], [["counted"] * 2])


def test_a_waiting_report_is_answered_before_the_job_is_reconciled(pile: Pile) -> None:
    submit("evening", keys(1), pipeline="q")
    job = submit("night", keys(2), pipeline="p")
    leader, waiter = worker.lease(limit=1), worker.lease(limit=1)
    pile.first(worker.lease("q"), success(0))
    reconciling = Gate("LEFT JOIN joblot_tally")
    led = pile.behind(leader, success(0), gate=reconciling)
    waited = pile.behind(waiter, success(1))
    pile.go_first()
    assert waited.result() == ["counted"]
    reconciling.wait()
    assert not led.done
    assert progress(job.pk)["finishing"]
    reconciling.open()
    assert led.result() == ["counted"]
    assert status(job) == "SUCCESS"


def test_each_job_of_those_that_were_answered_is_finished(pile: Pile) -> None:
    first, *others = leases_of(4, 4)
    pile.first(first, *map(success, numbers(first)))
    for lease in others:
        pile.behind(lease, *map(success, numbers(lease)))
    pile.go()
    for lease in others:
        eventually(lambda job=lease.job: progress(job)["status"] == "SUCCESS")  # type: ignore[misc]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_waits_for_no_report_of_its_parent(pile: Pile) -> None:
    """The thread that leads is not there."""
    (lease,) = leases_of(1, 1)
    pile.first(lease, success(0))
    child = os.fork()
    if child == 0:
        os._exit(len(list(group_commit._groups)))
    assert os.waitpid(child, 0)[1] == 0
    assert pile.go() == (["counted"], [])


def test_a_hook_of_another_pipeline_changes_nothing(pile: Pile) -> None:
    on_result("other")(lambda results: None)
    first, *others = leases_of(1, 3)
    pile.first(first, *map(success, numbers(first)))
    for lease in others:
        pile.behind(lease, *map(success, numbers(lease)))
    assert pile.go() == (["counted"] * 2, [["counted"] * 2] * 2)
    assert statements() == 2


def test_with_a_hook_a_report_goes_alone(pile: Pile) -> None:
    saved: list[str] = []
    on_result("p")(lambda results: saved.extend(one.key for one in results))
    (lease,) = leases_of(1, 1)
    assert receipts(lease, *map(success, numbers(lease))) == ["counted"] * 2
    assert saved == ["k0", "k1"]


def test_a_failure_that_may_be_tried_again_is_judged_by_itself() -> None:
    job = submit("night", keys(2), pipeline="p")
    lease = worker.lease()
    found = receipts(lease, success(0, metrics={"n": 1}), failure(1, "Busy", retryable=True))
    assert found == ["counted", "requeued"]
    assert metrics(job) == {"n": 1}
    assert counts(job) == {"succeeded": 1}


@pytest.fixture(autouse=True)
def nobody_waits() -> Iterator[None]:
    yield
    for group in group_commit._groups:
        assert not group._waiting
        assert not group._under_way
