"""Policies and limits: valid and invalid values, and how one overrides the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from joblot import config
from joblot.config import Limits, configure, default_policy, limits
from joblot.errors import InvalidPolicy
from joblot.policy import Policy


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    configure({})


@pytest.mark.parametrize(
    "given",
    [
        {"failure_threshold": -0.01},
        {"failure_threshold": 1.01},
        {"failure_threshold": float("nan")},
        {"failure_threshold": True},
        {"failure_threshold": "0.5"},
        {"failure_threshold": None},
        {"failures_max": 0},
        {"failures_max": 1001},
        {"failures_max": 2.5},
        {"expiries_max": 0},
        {"expiries_max": 2.0},
        {"lease_seconds": 0},
        {"lease_seconds": float("inf")},
        {"retry_backoff_seconds": -1},
        {"retry_backoff_seconds_max": -1},
        {"cancel_grace_seconds": -1},
        {"cancel_grace_seconds": 10**9},
        {"in_flight_items_max": 0},
        {"in_flight_items_max": 1.5},
        {"in_flight_items_max": True},
        {"in_flight_items_max": 2**31},
    ],
    ids=str,
)
def test_a_policy_out_of_bounds_is_refused_by_its_name(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidPolicy, match=next(iter(given))):
        Policy.of(given)


@pytest.mark.parametrize(
    "given",
    [
        {"failure_threshold": 0},
        {"failure_threshold": 1},
        {"failures_max": 1},
        {"expiries_max": 1000},
        {"lease_seconds": 0.001},
        {"retry_backoff_seconds": 0},
        {"cancel_grace_seconds": 0},
        {"in_flight_items_max": 1},
        {"in_flight_items_max": None},
    ],
    ids=str,
)
def test_a_policy_at_its_bound_is_taken(given: dict[str, Any]) -> None:
    assert Policy.of(given).as_json() == Policy().as_json() | given


def test_an_unknown_policy_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(InvalidPolicy, match=r"unknown policy tries; known are .*failures_max"):
        Policy.of({"tries": 3})


def test_no_policy_is_the_default() -> None:
    assert Policy.of(None) == Policy.of({}) == Policy()


def test_the_installations_policy_is_what_a_job_overrides() -> None:
    configure({"POLICY": {"failures_max": 9, "lease_seconds": 5}})
    policy = Policy.of({"lease_seconds": 6}, default_policy())
    assert (policy.failures_max, policy.lease_seconds, policy.expiries_max) == (9, 6, 5)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (5, 10.0), (10_000, 10.0)]
)
def test_the_wait_doubles_up_to_its_maximum(failures: int, seconds: float) -> None:
    policy = Policy(retry_backoff_seconds=2, retry_backoff_seconds_max=10)
    assert policy.backoff_seconds(failures) == seconds


def test_limits_are_overridden_by_name_and_the_others_stay() -> None:
    configure({"CLAIM_ITEMS_MAX": 5, "payload_bytes_max": 7})
    assert (limits().claim_items_max, limits().payload_bytes_max) == (5, 7)
    assert limits().stages_max == Limits().stages_max
    configure({})
    assert limits() == Limits()


def test_an_unknown_setting_is_refused_and_changes_nothing() -> None:
    configure({"CLAIM_ITEMS_MAX": 5})
    with pytest.raises(InvalidPolicy, match=r"claim_item_max; did you mean claim_items_max\?$"):
        configure({"CLAIM_ITEM_MAX": 6})
    with pytest.raises(InvalidPolicy):
        configure({"CLAIM_ITEMS_MAX": 6, "POLICY": {"failures_max": 0}})
    assert limits().claim_items_max == 5


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("claim_items_max", 0, "a whole number above 0"),
        ("claim_items_max", -1, "a whole number above 0"),
        ("claim_items_max", 2.5, "a whole number"),
        ("claim_items_max", "5", "a whole number"),
        ("claim_items_max", True, "a whole number"),
        ("claim_items_max", None, "a whole number"),
        ("sweep_seconds", 0, "a number above 0"),
        ("sweep_seconds", float("nan"), "a number above 0"),
        ("sweep_seconds", float("inf"), "a number above 0"),
        ("sweep_seconds", "1", "a number"),
    ],
)
def test_a_setting_that_is_no_such_number_is_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(InvalidPolicy, match=f"{name}: expected {expected}, got"):
        configure({name.upper(): value})
    assert limits() == Limits()


def test_a_setting_in_seconds_may_be_whole() -> None:
    configure({"SWEEP_SECONDS": 2})
    assert limits().sweep_seconds == 2


@pytest.mark.parametrize("given", [1, 0, "yes", None])
def test_what_is_allowed_or_not_is_true_or_false(given: Any) -> None:
    configure({"WEBHOOK_PRIVATE_ALLOWED": True})
    assert limits().webhook_private_allowed is True
    with pytest.raises(InvalidPolicy, match="webhook_private_allowed: expected True or False"):
        configure({"WEBHOOK_PRIVATE_ALLOWED": given})


def test_every_limit_has_its_unit_in_its_name() -> None:
    units = [
        "chars",
        "bytes",
        "items",
        "seconds",
        "max",
        "min",
        "batch",
        "events",
        "rows",
        "per_job",
    ]
    units.append("allowed")  # yes or no
    for name in Limits.__dataclass_fields__:
        assert any(unit in name for unit in units), name
    assert config.limits() is limits()
