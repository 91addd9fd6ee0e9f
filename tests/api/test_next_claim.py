"""A report that claims the next lease, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot.ledger.submit.submit import submit
from tests.api.conftest import Api
from tests.api.test_work import succeeded, worker

__all__ = ["worker"]


class TestAReportThatClaims:
    @pytest.fixture
    def lease(self, worker: Api) -> str:
        submit("night", [f"k{n}" for n in range(40)], pipeline="moths")
        (lease,) = worker.post("claims", {"pipelines": ["moths"], "limit": 2})["leases"]
        return str(lease["token"])

    def post(self, caller: Api, lease: str, claim: Any) -> Any:
        given = {"lease": lease, "results": [succeeded(0), succeeded(1)], "claim": claim}
        answer = caller.post("results", given)
        assert caller.status == 200
        return answer

    def counted(self, answer: Any) -> bool:
        return [one["receipt"] for one in answer["receipts"]] == ["counted", "counted"]

    def test_brings_the_next_lease_as_a_claim_would(self, worker: Api, lease: str) -> None:
        answer = self.post(worker, lease, {"pipelines": ["moths"], "limit": 3})
        assert self.counted(answer)
        assert answer["claim_problem"] is None
        (following,) = answer["claim"]["leases"]
        assert [item["key"] for item in following["items"]] == ["k2", "k3", "k4"]
        plain = worker.post("claims", {"pipelines": ["moths"], "limit": 3})
        assert (answer["claim"].keys(), following.keys()) == (
            plain.keys(),
            plain["leases"][0].keys(),
        )

    def test_says_why_there_is_none(self, worker: Api, lease: str) -> None:
        answer = self.post(worker, lease, {"pipelines": ["birds"]})
        assert self.counted(answer)
        assert (answer["claim"]["leases"], answer["claim"]["reason"]) == ([], "unknown_pipeline")

    @pytest.mark.parametrize(
        ("claim", "detail"),
        [
            ("moths", "claim: expected an object"),
            ({"pipelines": []}, "claim.pipelines: expected a list of 1 or more"),
            ({"pipelines": ["moths"], "limit": 0}, "claim.limit: expected 1 or more"),
            ({"pipelines": ["moths"], "wait_seconds": 5}, "got also 'wait_seconds'"),
            ({"pipelines": [f"p{n}" for n in range(999)]}, "pipelines: expected at most"),
        ],
    )
    def test_that_is_invalid_costs_no_receipt(
        self, worker: Api, lease: str, claim: Any, detail: str
    ) -> None:
        answer = self.post(worker, lease, claim)
        assert self.counted(answer)
        assert answer["claim"] is None
        assert (answer["claim_problem"]["status"], answer["claim_problem"]["code"]) == (
            422,
            "invalid_input",
        )
        assert detail in answer["claim_problem"]["detail"]

    def test_of_a_token_without_the_pipeline_is_refused_and_its_results_are_not(
        self, api: Callable[..., Api], lease: str
    ) -> None:
        birds = api("work", pipelines=["birds"])
        answer = self.post(birds, lease, {"pipelines": ["moths"]})
        assert self.counted(answer)
        assert answer["claim"] is None
        assert answer["claim_problem"]["code"] == "not_allowed"

    def test_of_a_job_that_the_token_can_not_see_is_refused(
        self, api: Callable[..., Api], lease: str
    ) -> None:
        theirs = submit("secret", ["a"], pipeline="moths", project="theirs")
        mine = api("work", projects=["mine"])
        answer = self.post(mine, lease, {"pipelines": ["moths"], "job": theirs.pk})
        assert self.counted(answer)
        assert answer["claim_problem"]["code"] == "not_found"

    def test_gets_no_more_than_its_token_may_have_in_flight(
        self, api: Callable[..., Api], lease: str
    ) -> None:
        capped = api("work", in_flight_items_max=3)
        answer = self.post(capped, lease, {"pipelines": ["moths"], "limit": 16})
        (following,) = answer["claim"]["leases"]
        assert len(following["items"]) == 3
        again = capped.post(
            "results",
            {"lease": following["token"], "results": [], "claim": {"pipelines": ["moths"]}},
        )
        assert again["claim"]["reason"] == "at_limit"

    def test_that_is_repeated_gets_the_same_lease(
        self, worker: Api, api: Callable[..., Api], lease: str
    ) -> None:
        """But no other token does, with the same key."""
        claim = {"pipelines": ["moths"], "idempotency_key": "once"}
        first, again = (self.post(worker, lease, claim) for _ in range(2))
        assert [one["receipt"] for one in again["receipts"]] == ["duplicate", "duplicate"]
        assert again["claim"]["leases"] == first["claim"]["leases"]
        other = self.post(api("work"), lease, claim)
        assert other["claim"]["leases"] != first["claim"]["leases"]
