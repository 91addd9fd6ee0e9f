"""A halt and what may happen at the same time: it comes once, or the other was first."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.ledger.job.lifecycle import cancel, pause, resume
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.report.at_once import may_be_due
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, kinds, status
from tests.races.test_explored import Scene, scene  # noqa: F401 (a fixture)


def halted(job: Any) -> int:
    return kinds(job).count("halted")


@pytest.mark.parametrize(
    "policy", [{"halt_failed_items": 0}, {"halt_failed_share": 0.1, "halt_tried_items_min": 1}]
)
def test_a_halt_is_due_while_items_wait(postgres_only: str, policy: dict[str, Any]) -> None:
    job = submit("bad", keys(600), pipeline="p", policy=policy)
    assert not may_be_due(job.pk, 0)
    assert fail(worker.lease(limit=1)) == ["counted"]
    assert (halted(job), status(job)) == (1, "PAUSED")


def test_two_reports_of_which_each_is_one_too_many_halt_once(scene: Scene) -> None:  # noqa: F811
    def set_up() -> None:
        scene.job = submit("bad", keys(9), pipeline="p", policy={"halt_failed_items": 1})
        fail(worker.lease(limit=1))
        scene.leases = [worker.lease(limit=1), worker.lease(limit=1)]

    def check(_: Any) -> None:
        assert (halted(scene.job), status(scene.job)) == (1, "PAUSED")
        assert counts(scene.job) == {"failed": 3}

    scene.explore(
        {"first": lambda: fail(scene.leases[0]), "second": lambda: fail(scene.leases[1])},
        set_up,
        check,
    )


def test_a_halt_and_a_pause_are_one_pause(scene: Scene) -> None:  # noqa: F811
    def set_up() -> None:
        scene.job = submit("bad", keys(9), pipeline="p", policy={"halt_failed_items": 0})
        scene.lease = worker.lease(limit=1)

    def check(_: Any) -> None:
        assert status(scene.job) == "PAUSED"
        assert kinds(scene.job).count("paused") + halted(scene.job) == 1

    scene.explore(
        {"report": lambda: fail(scene.lease), "pause": lambda: pause(scene.job.pk)}, set_up, check
    )


def test_a_resume_is_not_undone_by_a_process_that_saw_the_halt_before(scene: Scene) -> None:  # noqa: F811
    """A reconciliation that has read the counts before the resume can't halt after it."""

    def set_up() -> None:
        scene.job = submit("bad", keys(9), pipeline="p", policy={"halt_failed_items": 0})
        fail(worker.lease(limit=1))
        assert status(scene.job) == "PAUSED"

    def check(_: Any) -> None:
        assert (status(scene.job), halted(scene.job)) == ("STARTED", 1)

    scene.explore(
        {"look": lambda: reconcile(scene.job.pk), "resume": lambda: resume(scene.job.pk)},
        set_up,
        check,
    )


def test_a_halt_that_cancels_and_a_cancel_are_one_cancel(scene: Scene) -> None:  # noqa: F811
    policy = {"halt_failed_items": 0, "halt_action": "cancel"}

    def set_up() -> None:
        scene.job = submit("bad", keys(9), pipeline="p", policy=policy)
        scene.lease = worker.lease(limit=1)

    def check(_: Any) -> None:
        assert kinds(scene.job).count("canceling") + halted(scene.job) == 1
        cancel(scene.job.pk, grace_seconds=0)
        assert (status(scene.job), kinds(scene.job).count("finished")) == ("REVOKED", 1)

    scene.explore(
        {"report": lambda: fail(scene.lease), "cancel": lambda: cancel(scene.job.pk)}, set_up, check
    )
