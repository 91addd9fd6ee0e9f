"""Claims of a job with a rate limit that meet: together they get no more than is left."""

from __future__ import annotations

from typing import Any

from joblot.ledger.claim.claim import claim
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
