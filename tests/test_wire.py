"""The shapes that cross a boundary: what is accepted, what is refused, and why."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from joblot.canonical import canonical, is_storable, result_hash, with_fractions
from joblot.config import limits
from joblot.errors import InvalidResult
from joblot.given_results import parse_result, parse_results
from joblot.states import Receipt, ReportedOutcome
from joblot.wire import (
    ERROR_TYPE_CHARS_MAX,
    METRIC_MAX,
    Claim,
    ClaimedItem,
    Error,
    GrantedLease,
    ItemReceipt,
    failure,
    receipts_json,
    success,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_canonical_text_is_json_of_the_same_value(value: Any) -> None:
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text


ODD = [2**70, -0.0, 1e16, 1e-7, True, {1: 0, 3: {"b": (), "a": [None]}}, {True: 1}, {1.5: ""}]


@given(JSON)
@example(ODD)
@example(ReportedOutcome.FAILED)
@example(OrderedDict(b=1, a=2))
def test_canonical_text_is_what_the_standard_library_writes(value: Any) -> None:
    """With its own encoder, made anew for each value; and large floats with a fraction."""
    compact: Any = {"separators": (",", ":"), "ensure_ascii": False}
    text = json.dumps(value, sort_keys=True, allow_nan=False, **compact)
    assert canonical(value) == with_fractions(text)


def test_a_value_that_contains_itself_is_refused() -> None:
    around: list[Any] = []
    around.append(around)
    with pytest.raises(InvalidResult, match="nested"):
        canonical(around)


@given(st.dictionaries(TEXT, st.integers(), min_size=2))
def test_equal_values_have_one_text_and_one_hash(value: dict[str, int]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical(turned) == canonical(value)
    assert result_hash(canonical(turned)) == result_hash(canonical(value))


@given(st.text())
def test_the_canonical_text_of_any_text_is_storable_or_refused(text: str) -> None:
    try:
        canonical([text])
    except InvalidResult:
        assert not is_storable(text)
    else:
        assert is_storable(text)


@pytest.mark.parametrize(
    "value",
    [float("nan"), [float("inf")], {"x": {1, 2}}, b"raw", "\x00", {"\x00": 1}, "\ud800", b"bytes"],
    ids=repr,
)
def test_what_no_database_keeps_is_refused(value: Any) -> None:
    with pytest.raises(InvalidResult, match="expected"):
        canonical(value)


def test_text_that_only_looks_like_a_null_is_kept() -> None:
    assert json.loads(canonical("\\u0000")) == "\\u0000"
    with pytest.raises(InvalidResult):
        canonical("\\\x00")


def test_a_result_is_read_from_its_json() -> None:
    good = parse_result({"item": 3, "outcome": "succeeded", "output": [1], "metrics": {"bytes": 2}})
    assert good == success(3, [1], {"bytes": 2})
    bad = parse_result(
        {
            "item": 0,
            "outcome": "failed",
            "error": {"type": "Bad", "message": "no"},
            "retryable": True,
        }
    )
    assert bad == failure(0, "Bad", "no", retryable=True)
    assert (good.succeeded, bad.succeeded, bad.outcome) == (True, False, ReportedOutcome.FAILED)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (5, "a result: expected an object, got int"),
        ({}, "item: expected the id"),
        ({"item": "1", "outcome": "succeeded"}, "item: expected"),
        ({"item": True, "outcome": "succeeded"}, "item: expected"),
        ({"item": -1, "outcome": "succeeded"}, "item: expected"),
        ({"item": 2**31, "outcome": "succeeded"}, "item: expected"),
        ({"item": 1}, 'outcome: expected "succeeded" or "failed"'),
        ({"item": 1, "outcome": ["succeeded"]}, "outcome: expected"),
        ({"item": 1, "outcome": "failed", "retryable": 1}, "retryable: expected true or false"),
        ({"item": 1, "outcome": "failed", "error": "Bad"}, "error: expected"),
        ({"item": 1, "outcome": "succeeded", "metrics": [1]}, "metrics: expected an object"),
        ({"item": 1, "outcome": "succeeded", "metrics": {"": 1}}, "names of 1 to 100"),
        ({"item": 1, "outcome": "succeeded", "metrics": {"x" * 101: 1}}, "names of 1 to 100"),
        ({"item": 1, "outcome": "succeeded", "metrics": {"a": 1.0}}, "metrics.a: expected a whole"),
        ({"item": 1, "outcome": "succeeded", "metrics": {"a": True}}, "metrics.a: expected"),
        ({"item": 1, "outcome": "succeeded", "metrics": {"a": METRIC_MAX + 1}}, "2\\^43"),
        (
            {"item": 1, "outcome": "succeeded", "metrics": {f"m{n}": n for n in range(33)}},
            "metrics: expected at most 32, got 33",
        ),
    ],
    ids=repr,
)
def test_a_bad_result_is_refused_and_told_why(given: Any, says: str) -> None:
    with pytest.raises(InvalidResult, match=says):
        parse_result(given)
    (answer,) = parse_results([given])
    assert isinstance(answer, ItemReceipt)
    assert answer.receipt is Receipt.REJECTED


def test_metrics_at_their_bounds_are_taken() -> None:
    largest = {"most": METRIC_MAX, "least": -METRIC_MAX, "none": 0}
    assert parse_result(success(0, metrics=largest)).metrics == largest


@given(st.text(), st.text(), st.text())
def test_a_cause_is_always_storable_and_never_empty(
    error_type: str, message: str, traceback: str
) -> None:
    error = Error(error_type, message, traceback)
    assert is_storable(error.type)
    assert is_storable(error.message)
    assert is_storable(error.traceback)
    assert error.type


def test_a_long_cause_is_cut_visibly() -> None:
    error = Error("T" * 999, "m" * 99_999)
    assert len(error.type) == ERROR_TYPE_CHARS_MAX
    assert len(error.message) == limits().error_chars_max
    assert error.message.endswith("…")


def test_a_long_traceback_keeps_its_head_and_its_end() -> None:
    error = Error("E", "m", "head" + "x" * 99_999 + "end")
    assert len(error.traceback) == limits().error_traceback_chars_max
    assert error.traceback.startswith("head")
    assert error.traceback.endswith("end")
    assert "100,006 characters, of which the middle is left out" in error.traceback


def test_the_failure_of_an_exception_has_its_message_and_traceback() -> None:
    try:
        try:
            int("x")
        except ValueError as cause:
            raise LookupError("no x") from cause
    except LookupError as error:
        failed = failure(7, error, retryable=True)
    assert failed.error is not None
    assert (failed.error.type, failed.error.message) == ("LookupError", "no x")
    text = failed.error.traceback
    assert text.index("ValueError: ") < text.index("direct cause") < text.index("LookupError: no x")
    assert "test_the_failure_of_an_exception" in text
    assert (failed.item, failed.retryable) == (7, True)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_exception_that_has_no_text_is_a_failure_too() -> None:
    failed = failure(7, Unspeakable())
    assert failed.error is not None
    assert failed.error.type == "Unspeakable"
    assert failed.error.message


def test_the_cause_of_a_failure_ignores_its_traceback() -> None:
    assert Error("E", "item 7", "one").cause == Error("E", "item 8", "another").cause


def test_answers_are_json() -> None:
    item = ClaimedItem(1, "k", {"p": 1}, None, 2)
    lease = GrantedLease("t", 1, 1, "s", "p", "2030-01-01T00:00:00+00:00", {"c": 1}, (item,))
    claim = json.loads(json.dumps(Claim((lease,)).as_json()))
    assert claim["leases"][0]["items"] == [
        {"id": 1, "key": "k", "payload": {"p": 1}, "input": None, "attempt": 2}
    ]
    assert (claim["reason"], claim["retry_after_seconds"]) == ("", 0.0)
    answers = receipts_json([ItemReceipt(1, Receipt.LATE, "why")])
    assert answers == {"receipts": [{"item": 1, "receipt": "late", "reason": "why"}]}
