"""JSON is read and written like by Python's json module, only faster."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joblot.api.json_text import json_text, parse_json
from joblot.errors import InvalidResult, NotReadable

NUMBERS = st.integers() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | TEXTS | NUMBERS.filter(lambda number: abs(number) != math.inf),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_it_reads_and_writes_what_pythons_own_does(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    parsed = parse_json(text.encode())
    assert repr(parsed) == repr(json.loads(text))  # distinguishes -0.0 and 0; 1, 1.0 and True
    assert repr(json.loads(json_text(parsed))) == repr(parsed)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "[1,]", "{", "", "01"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(NotReadable):
        parse_json(text.encode())


@pytest.mark.parametrize("text", ["[" * 100 + "]" * 100, "\ufeff[1]", '"NaN is not -Infinity"'])
def test_what_only_pythons_own_takes_is_taken(text: str) -> None:
    parsed = parse_json(text.encode())
    assert parsed == json.loads(text.encode())
    assert json.loads(json_text(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "[1e999]",
        "9" * 5_000,
        "[" * 101 + "]" * 101,
        "[" * 970 + "]" * 970,
        '{"a": "\\u0000"}',
        '"\\ud800"',
        '{"\\udfff": 1}',
    ],
)
def test_what_no_database_keeps_is_distinguished(text: str) -> None:
    with pytest.raises(InvalidResult):
        json_text(parse_json(text.encode()))


@pytest.mark.parametrize("slow", ["Infinity", "NaN"])
def test_names_keep_their_order_in_both_serializers(slow: str) -> None:
    given = {"b": 1, slow: 2, "a": 3}
    assert list(json.loads(json_text(parse_json(json.dumps(given).encode())))) == list(given)


def test_a_backslash_before_u0000_is_no_null() -> None:
    assert json.loads(json_text(parse_json(rb'"\\u0000"'))) == r"\u0000"
