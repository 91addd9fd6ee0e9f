"""Claims that share a limit and meet: together they get no more than is left."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.ledger.claim.claim import claim
from joblot.ledger.maintain.pipelines import edit_pipeline
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import keys
from tests.races.meeting import Gate, until_waiting
from tests.races.test_explored import Scene, scene  # noqa: F401 (a fixture)

POLICY = {"rate_items_max": 3, "rate_seconds": 86_400}


def items(answer: Any) -> int:
    return sum(len(lease.items) for lease in answer.leases)


def test_two_claims_get_together_what_is_left(scene: Scene) -> None:  # noqa: F811
    def set_up() -> None:
        scene.job = submit("slow", keys(600), pipeline="p", policy=POLICY)

    def check(answers: dict[str, Any]) -> None:
        assert items(answers["first"]) + items(answers["second"]) == 3

    scene.explore({"first": lambda: claim("p", 2), "second": lambda: claim("p", 2)}, set_up, check)


def test_a_claim_sees_what_was_granted_while_it_waited(postgres_only: str, in_thread: Any) -> None:
    submit("slow", keys(600), pipeline="p", policy=POLICY)
    worker.lease(limit=1)
    gate = Gate("-- step: write the lease")
    first = in_thread(gate.through(lambda: claim("p", 2)))
    gate.wait()
    second = in_thread(lambda: claim("p", 2))
    until_waiting()
    gate.open()
    assert (items(first.result()), items(second.result())) == (2, 0)
    assert second.result().reason == "at_limit"


LIMITS = pytest.mark.parametrize("policy", [POLICY, {"in_flight_items_max": 3}])


@LIMITS
def test_claims_of_two_jobs_of_a_pipeline_get_together_what_is_left(
    scene: Scene,  # noqa: F811
    policy: dict[str, Any],
) -> None:
    def set_up() -> None:
        edit_pipeline("p", policy=policy)
        scene.job = submit("first", keys(600), pipeline="p")
        submit("second", keys(600), pipeline="p")

    def check(answers: dict[str, Any]) -> None:
        assert items(answers["first"]) + items(answers["second"]) == 3

    scene.explore({"first": lambda: claim("p", 2), "second": lambda: claim("p", 2)}, set_up, check)


@LIMITS
def test_a_claim_sees_what_another_job_was_granted_while_it_waited(
    postgres_only: str, in_thread: Any, policy: dict[str, Any]
) -> None:
    edit_pipeline("p", policy=policy)
    jobs = [submit(name, keys(600), pipeline="p").pk for name in ("first", "second")]
    worker.lease(limit=1)
    gate = Gate("-- step: write the lease")
    first = in_thread(gate.through(lambda: claim("p", 2, job=jobs[0])))
    gate.wait()
    second = in_thread(lambda: claim("p", 2, job=jobs[1]))
    until_waiting()
    gate.open()
    assert (items(first.result()), items(second.result())) == (2, 0)
    assert second.result().reason == "at_limit"


def test_an_edit_waits_for_a_claim_and_counts_what_it_was_granted(
    postgres_only: str, in_thread: Any
) -> None:
    edit_pipeline("p", policy=POLICY)
    submit("slow", keys(600), pipeline="p")
    gate = Gate("-- step: write the lease")
    first = in_thread(gate.through(lambda: claim("p", 2)))
    gate.wait()
    edited = in_thread(lambda: edit_pipeline("p", policy={"rate_items_max": 5}))
    until_waiting()
    gate.open()
    assert items(first.result()) == 2
    edited.result()
    assert items(claim("p", 16)) == 3
