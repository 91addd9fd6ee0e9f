"""Pairs of verbs in each order of their statements, on both databases; fewest switches first.

After each order, every job must pass its audit, and the test's own check must hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections

from joblot.errors import WrongStatus
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, end_cancel, pause, start
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.retry import go_on_reopening, retry
from joblot.ledger.lease import expire, expire_overdue, renew
from joblot.ledger.maintain.fold import fold
from joblot.ledger.maintain.merge import merge_ranges
from joblot.ledger.read.audit import audit
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Job
from joblot.testing.interleave import Report, explore
from tests import databases
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, kinds, numbers, status, succeed

# Schedules per pair, so that all pairs take under half a minute. Raise it for a suspect pair.
ORDERS = int(os.environ.get("JOBLOT_TEST_ORDERS", "3"))
SAMPLES = ORDERS * 2


class Scene(SimpleNamespace):
    """A job and its leases, created again before each order."""

    def explore(
        self,
        operations: dict[str, Callable[[], object]],
        set_up: Callable[[], None],
        check: Callable[[Any], None],
        **more: Any,
    ) -> Report:
        def reset() -> None:
            databases.empty(self.db)
            set_up()

        def checked(outcomes: Any) -> None:
            check({name: outcome.value for name, outcome in outcomes.items()})
            found = audit(self.job.pk)
            assert found["ok"], [c for c in found["checks"] if not c["ok"]]

        return explore(
            operations,
            setup=reset,
            check=checked,
            using=self.db,
            seed=1,
            **({"schedules_max": ORDERS, "samples": SAMPLES} | more),
        )


@pytest.fixture
def scene(ledger_db: str) -> Scene:
    return Scene(db=ledger_db)


def work_off(job: Job) -> None:
    """Complete the rest: no item may be missing or in two places."""
    while leases := claim("p", job=job.pk).leases:
        assert set(succeed(leases[0])) == {"counted"}
    reconcile(job.pk)
    assert status(job) == "SUCCESS"


def finished_once(job: Job) -> bool:
    return kinds(job).count("finished") == 1


def two_leases(scene: Scene) -> None:
    scene.job = submit("explored", keys(2), pipeline="p")
    scene.a, scene.b = worker.lease(limit=1), worker.lease(limit=1)


def one_item_in_two_leases(scene: Scene) -> None:
    scene.job = submit("explored", keys(1), pipeline="p")
    scene.a = worker.lease()
    expire(scene.a.token)
    scene.b = worker.lease()


def failed(scene: Scene) -> None:
    """Item 0 failed, but a late success may arrive through the first lease."""
    scene.job = submit("explored", keys(1), pipeline="p")
    scene.a = worker.lease()
    expire(scene.a.token)
    fail(worker.lease())


def test_the_last_two_reports_finish_once(scene: Scene) -> None:
    def check(values: Any) -> None:
        assert values == {"A": ["counted"], "B": ["counted"]}
        assert (status(scene.job), finished_once(scene.job)) == ("SUCCESS", True)

    scene.explore(
        {"A": lambda: succeed(scene.a), "B": lambda: succeed(scene.b)},
        lambda: two_leases(scene),
        check,
    )


def test_two_reports_of_one_item_count_once(scene: Scene) -> None:
    def check(values: Any) -> None:
        assert sorted(values["A"] + values["B"]) in (
            ["amended", "counted"],
            ["counted", "superseded"],
        )
        assert (status(scene.job), counts(scene.job)) == ("SUCCESS", {"succeeded": 1})
        assert finished_once(scene.job)

    scene.explore(
        {"A": lambda: succeed(scene.a), "B": lambda: fail(scene.b)},
        lambda: one_item_in_two_leases(scene),
        check,
    )


def test_a_report_and_a_cancel(scene: Scene) -> None:
    def check(values: Any) -> None:
        assert values["cancel"].status == "REVOKED"
        assert counts(scene.job) == ({"succeeded": 1} if values["A"] == ["counted"] else {})

    scene.explore(
        {"A": lambda: succeed(scene.a), "cancel": lambda: cancel(scene.job.pk, grace_seconds=0)},
        lambda: two_leases(scene),
        check,
    )


def test_a_report_and_an_expiry(scene: Scene) -> None:
    def check(values: Any) -> None:
        assert values["A"] == ["counted"]
        succeed(scene.b)
        work_off(scene.job)

    scene.explore(
        {"A": lambda: succeed(scene.a), "expire": lambda: expire(scene.a.token)},
        lambda: two_leases(scene),
        check,
    )


def test_a_report_and_the_claim_and_report_of_all_others(scene: Scene) -> None:
    """What the report still saw in the queue before its commit may be settled when it commits."""

    def set_up() -> None:
        scene.job = submit("explored", keys(2), pipeline="p")
        scene.a = worker.lease(limit=1)

    def check(values: Any) -> None:
        assert values == {"A": ["counted"], "others": ["counted"]}
        assert (status(scene.job), kinds(scene.job).count("finished")) == ("SUCCESS", 1)

    scene.explore(
        {"A": lambda: succeed(scene.a), "others": lambda: succeed(worker.lease())},
        set_up,
        check,
        schedules_max=100,
        samples=0,
        preemptions=1,
        reduced=True,
    )


def test_a_report_and_a_renewal(scene: Scene) -> None:
    def check(values: Any) -> None:
        assert values["A"] == ["counted"]
        assert values["renew"] >= scene.a.expires_at

    scene.explore(
        {"A": lambda: succeed(scene.a), "renew": lambda: renew(scene.a.token, 600)},
        lambda: two_leases(scene),
        check,
    )


def test_an_amendment_and_a_retry(scene: Scene) -> None:
    def check(values: Any) -> None:
        if values["A"] == ["amended"]:
            assert counts(scene.job) == {"succeeded": 1}
        else:
            assert values["A"] == ["late"]
            work_off(scene.job)

    scene.explore(
        {"A": lambda: succeed(scene.a), "retry": lambda: retry(scene.job.pk)},
        lambda: failed(scene),
        check,
        allowed=(WrongStatus,),  # the amendment came first, so nothing is left to retry
    )


def test_two_claims(scene: Scene) -> None:
    def set_up() -> None:
        scene.job = submit("explored", keys(4), pipeline="p")

    def check(values: Any) -> None:
        claimed = [
            n for answer in values.values() for lease in answer.leases for n in numbers(lease)
        ]
        assert len(claimed) == len(set(claimed))
        for answer in values.values():
            for lease in answer.leases:
                succeed(lease)
        work_off(scene.job)

    scene.explore({"A": lambda: claim("p", 2), "B": lambda: claim("p", 2)}, set_up, check)


@pytest.mark.parametrize("ends", [cancel, pause])
def test_a_claim_and_an_end_of_claims(scene: Scene, ends: Callable[..., Any]) -> None:
    def set_up() -> None:
        scene.job = submit("explored", keys(2), pipeline="p")

    def check(values: Any) -> None:
        receipt = "late" if values["end"].status == "REVOKED" else "counted"
        for lease in values["claim"].leases:
            assert set(succeed(lease)) == {receipt}
        assert not claim("p").leases

    more = {"grace_seconds": 0} if ends is cancel else {}
    scene.explore(
        {"claim": lambda: claim("p"), "end": lambda: ends(scene.job.pk, **more)}, set_up, check
    )


def test_a_claim_grants_nothing_after_the_pause(sqlite_only: str, scene: Scene) -> None:
    """Also if it began before: no state shows that afterwards, so it is recorded.

    On PostgreSQL the claim's status is read inside a function: see `tests/races/test_claim.py`.
    """
    happened: list[str] = []

    def set_up() -> None:
        databases.empty(scene.db)
        scene.job = submit("explored", keys(2), pipeline="p")
        happened.clear()

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        done = execute(sql, params, many, context)
        if sql.startswith(("UPDATE", "DELETE")) and "joblot_range" in sql:  # only after a grant
            happened.append("granted")
        return done

    def claiming() -> Any:
        with connections[scene.db].execute_wrapper(watch):
            return claim("p", 1)

    def pausing() -> None:
        pause(scene.job.pk)
        happened.append("paused")

    def check(outcomes: Any) -> None:
        assert happened in (["granted", "paused"], ["paused"])

    explore(
        {"claim": claiming, "pause": pausing},
        setup=set_up,
        check=check,
        using=scene.db,
        preemptions=1,
        samples=0,
        reduced=True,
    )


def test_two_processes_continue_one_cancel(scene: Scene) -> None:
    def check(values: Any) -> None:
        assert status(scene.job) == "REVOKED"
        assert finished_once(scene.job)

    scene.explore(
        {
            "cancel": lambda: cancel(scene.job.pk, grace_seconds=0),
            "sweep": lambda: end_cancel(scene.job.pk),
        },
        lambda: two_leases(scene),
        check,
    )


@pytest.mark.parametrize("other", [retry, go_on_reopening, start, fold, reconcile])
def test_a_retry_and_another_verb_in_between(scene: Scene, other: Callable[..., Any]) -> None:
    def check(values: Any) -> None:
        assert Job.objects.get().run == 2
        work_off(scene.job)

    scene.explore(
        {"retry": lambda: retry(scene.job.pk), "other": lambda: other(scene.job.pk)},
        lambda: failed(scene),
        check,
        allowed=(WrongStatus,),  # the second of two retries may find the job active again
    )


def test_two_expiries(scene: Scene, clock: Any) -> None:
    def set_up() -> None:
        two_leases(scene)
        clock.forward(1000)

    def check(values: Any) -> None:
        assert values["A"] + values["B"] == 2
        work_off(scene.job)

    scene.explore({"A": expire_overdue, "B": expire_overdue}, set_up, check)


def test_two_processes_add_items(scene: Scene) -> None:
    def set_up() -> None:
        scene.job = submit("explored", pipeline="p", seal=False)

    def check(values: Any) -> None:
        assert values["A"] + values["B"] == 3
        assert seal(scene.job.pk).total == 3
        work_off(scene.job)

    scene.explore(
        {
            "A": lambda: add_items(scene.job.pk, keys(2)),
            "B": lambda: add_items(scene.job.pk, keys(3)),
        },
        set_up,
        check,
    )


def test_a_seal_and_the_last_report(scene: Scene) -> None:
    def set_up() -> None:
        scene.job = submit("explored", keys(1), pipeline="p", seal=False)
        scene.a = worker.lease()

    def check(values: Any) -> None:
        assert (status(scene.job), finished_once(scene.job)) == ("SUCCESS", True)

    scene.explore(
        {"A": lambda: succeed(scene.a), "seal": lambda: seal(scene.job.pk)}, set_up, check
    )


def test_a_fold_and_an_amendment(scene: Scene) -> None:
    def check(values: Any) -> None:
        assert values["A"] == ["amended"]
        assert (status(scene.job), counts(scene.job)) == ("SUCCESS", {"succeeded": 1})

    scene.explore(
        {"A": lambda: succeed(scene.a), "fold": lambda: fold(scene.job.pk)},
        lambda: failed(scene),
        check,
    )


def test_a_merge_and_a_claim(scene: Scene, configure: Any) -> None:
    configure(merge_ranges_min=1)

    def set_up() -> None:
        scene.job = submit("explored", keys(4), pipeline="p")
        for lease in [worker.lease(limit=1) for _ in range(4)]:
            expire(lease.token)

    def check(values: Any) -> None:
        for lease in values["claim"].leases:
            succeed(lease)
        work_off(scene.job)

    scene.explore({"claim": lambda: claim("p", 2), "merge": merge_ranges}, set_up, check)


def test_the_job_ends_though_a_process_dies_between_two_statements(scene: Scene) -> None:
    def check(values: Any) -> None:
        for lease in (scene.a, scene.b):
            assert set(succeed(lease)) <= {"counted", "duplicate"}
        assert (status(scene.job), finished_once(scene.job)) == ("SUCCESS", True)

    scene.explore(
        {"A": lambda: succeed(scene.a), "B": lambda: succeed(scene.b)},
        lambda: two_leases(scene),
        check,
        kills=1,
    )
