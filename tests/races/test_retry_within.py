"""A retry within the run, and what may happen to the same items at the same time."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from joblot.errors import NotFound
from joblot.ledger.job.retry import retry
from joblot.ledger.read.history import events
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, kinds, status, succeed
from tests.races.meeting import COMMIT, Gate, until_waiting
from tests.races.test_explored import Scene, finished_once, scene, work_off  # noqa: F401


def reopened(job: Any) -> int:
    found = [event for event in events(job.pk) if event["kind"] == "reopened"]
    return sum(event["data"]["items"] for event in found)


def two_left(scene: Scene) -> None:  # noqa: F811
    """Item 0 has failed, item 1 is the last one that is open."""
    scene.job = submit("night", keys(2), pipeline="p")
    scene.first, scene.last = worker.lease(limit=1), worker.lease(limit=1)
    fail(scene.first)


def test_a_retry_and_the_last_report(scene: Scene) -> None:  # noqa: F811
    """Either the run ends first, and the item is in the next one, or it ends without a failure."""

    def check(_: Any) -> None:
        assert kinds(scene.job).count("finished") in (0, 1)
        work_off(scene.job)
        assert reopened(scene.job) + kinds(scene.job).count("retried") == 1

    scene.explore(
        {
            "retry": lambda: retry(scene.job.pk, failed=True),
            "last": lambda: succeed(scene.last),
        },
        lambda: two_left(scene),
        check,
    )


def test_two_retries_of_the_same_reopen_it_once(scene: Scene) -> None:  # noqa: F811
    def again() -> None:
        with suppress(NotFound):
            retry(scene.job.pk, failed=True)

    def check(_: Any) -> None:
        assert reopened(scene.job) == 1
        succeed(scene.last)
        work_off(scene.job)
        assert finished_once(scene.job)

    scene.explore({"first": again, "second": again}, lambda: two_left(scene), check)


def test_a_retry_and_the_same_failure_again(scene: Scene) -> None:  # noqa: F811
    """It never fails the item anew: it is a repeat, before and after."""

    def check(answers: dict[str, Any]) -> None:
        assert answers["repeat"] == ["duplicate"]
        assert counts(scene.job) == {}

    scene.explore(
        {
            "retry": lambda: retry(scene.job.pk, failed=True),
            "repeat": lambda: fail(scene.first),
        },
        lambda: two_left(scene),
        check,
    )


def test_a_retry_and_a_late_success(scene: Scene) -> None:  # noqa: F811
    """It amends the failure, or counts afterwards: the item succeeds once either way."""

    def attempt() -> None:
        with suppress(NotFound):  # it had succeeded by then
            retry(scene.job.pk, failed=True)

    def check(answers: dict[str, Any]) -> None:
        assert answers["late"] in (["amended"], ["counted"])
        assert counts(scene.job) == {"succeeded": 1}
        succeed(scene.last)
        assert (status(scene.job), finished_once(scene.job)) == ("SUCCESS", True)

    scene.explore(
        {"retry": attempt, "late": lambda: succeed(scene.first)}, lambda: two_left(scene), check
    )


def test_a_lease_that_is_locked_is_waited_for_while_no_other_is_held(
    postgres_only: str, in_thread: Any
) -> None:
    """One report holds the lease of item 0; the retry reopens item 1 first, and 0 after it."""
    job = submit("night", keys(4), pipeline="p")
    first, second = worker.lease(limit=2), worker.lease(limit=1)
    fail(first, 0)
    fail(second)
    gate = Gate(COMMIT)
    report = in_thread(gate.through(lambda: fail(first, 1, retryable=True)))
    gate.wait()
    again = in_thread(lambda: retry(job.pk, failed=True))
    until_waiting()
    other = in_thread(lambda: fail(second))
    assert other.result() == ["duplicate"]
    gate.open()
    assert (report.result(), again.result().status) == (["requeued"], "STARTED")
    assert counts(job) == {}
    assert [event["data"]["items"] for event in events(job.pk) if event["kind"] == "reopened"] == [
        1,
        1,
    ]
