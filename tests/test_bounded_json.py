"""JSON texts are measured as a parser would read them, and values without recursion."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joblot import bounded_json
from joblot.api.json_text import parse_json
from joblot.bounded_json import (
    CONTAINER_WEIGHT,
    ENVELOPE,
    Unreadable,
    is_text_too_deep,
    is_too_deep,
    stored,
    within_bounds,
)
from joblot.canonical import canonical
from joblot.config import CEILINGS, configure, limits
from joblot.errors import InvalidPolicy, InvalidResult, JoblotError, TooLarge
from joblot.wire import Error
from tests.hostile import deep, nested

STACK_BYTES = 131_072  # musl's default for a thread
TEXTS = st.text(st.sampled_from('ab"\\[]{},:'), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | TEXTS | st.integers(-9, 9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@contextmanager
def in_pieces(size: int) -> Iterator[None]:
    """Measure texts in pieces of this many bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounded_json, "_MEASURED_BYTES", size)
        yield


def weight_and_depth(value: Any) -> tuple[int, int]:
    """Computed from the value itself; an empty container has as many commas as one of one value."""
    if not isinstance(value, (list, dict)):
        return 0, 0
    inside = list(value.values()) if isinstance(value, dict) else value
    inner = [weight_and_depth(one) for one in inside]
    commas = max(0, len(inside) - 1)
    weight = CONTAINER_WEIGHT + commas + sum(weight for weight, _ in inner)
    return weight, 1 + max((depth for _, depth in inner), default=0)


@given(JSON, st.sampled_from([1, 2, 3, 7, 64]), st.booleans())
def test_a_text_is_measured_as_it_is_read(value: Any, piece: int, ascii_only: bool) -> None:
    """In any pieces; brackets in strings are no structure."""
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    with in_pieces(piece):
        measured = list(bounded_json._measured(text))
    found = sum(weight for weight, _ in measured), max(depth for _, depth in measured)
    assert found == weight_and_depth(value)


@given(JSON, st.integers(0, 3))
def test_what_is_too_deep_is_left_out_and_nothing_else(value: Any, most: int) -> None:
    def cut(value: Any, levels: int) -> Any:
        if not isinstance(value, (list, dict)):
            return value
        if levels == 0:
            return None
        if isinstance(value, dict):
            return {name: cut(one, levels - 1) for name, one in value.items()}
        return [cut(one, levels - 1) for one in value]

    assert json.loads(bounded_json._pruned(json.dumps(value).encode(), most)) == cut(value, most)


@pytest.mark.parametrize("levels", [101, 108, 109, 150, 250, 600, 970, 100_000])
def test_only_the_value_that_is_too_deep_is_refused(levels: int) -> None:
    """Although the parser itself accepts at most 200 levels."""
    text = f'{{"results": [{{"output": {nested(levels)}}}, {{"output": {nested(100)}}}]}}'
    bad, good = parse_json(text.encode())["results"]
    with pytest.raises(InvalidResult, match="at most 100 levels"):
        canonical(bad["output"])
    assert canonical(good["output"]) == nested(100)
    assert is_text_too_deep(nested(levels))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "]" * 5_000, '["' * 50_000, '"' + "\\" * 99_999]
)
def test_what_is_no_json_is_refused_however_deep(text: str) -> None:
    with pytest.raises(JoblotError):
        parse_json(text.encode())


@pytest.mark.parametrize("one", ["{}", "[]", "1", '"a"', '{"a":1}', "[[]]"])
def test_more_values_than_may_be_are_refused_before_they_are_made(one: str) -> None:
    configure({"json_values_max": 1_000})
    try:
        few = (1_000 - 10) // (1 + CONTAINER_WEIGHT * (one.count("[") + one.count("{")))
        assert len(parse_json(f"[{','.join([one] * few)}]".encode())) == few
        with pytest.raises(TooLarge) as caught:
            within_bounds(f"[{','.join([one] * 1_001)}]".encode())
        assert caught.value.limit == 1_000
    finally:
        configure({})


def test_commas_and_brackets_in_strings_are_no_values() -> None:
    text = json.dumps(["[{,"] * 2_000).encode()
    configure({"json_values_max": 3_000})
    try:
        assert within_bounds(text) == text
    finally:
        configure({})


def test_a_text_in_another_encoding_can_not_slip_through() -> None:
    """Python's own parser would accept UTF-16, which was not measured."""
    with pytest.raises(JoblotError):
        parse_json('["∢", {}]'.encode("utf-16"))


def test_python_values_are_checked_without_recursion() -> None:
    """In a thread with a small stack, in which an encoder would end the process.

    The values outlive the thread: Python 3.13 needs as large a stack to free them.
    """
    messages: list[str] = []
    values = [deep(levels) for levels in (100_000, 101, 100)]

    def look() -> None:
        for value in values:
            try:
                messages.append(canonical(value)[:3])
            except InvalidResult as error:
                messages.append(str(error)[:8])
        messages.append(str(len(parse_json(f"[{nested(100_000)}, 1]".encode()))))
        messages.append(type(stored(nested(100_000))).__name__)
        messages.append(Error("E", values[0]).message)

    before = threading.stack_size(STACK_BYTES)
    try:
        thread = threading.Thread(target=look)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert messages == ["expected", "expected", "[[[", "2", "Unreadable", "a value of type list"]


def test_what_was_stored_and_can_not_be_read_says_why() -> None:
    assert stored('{"a": [1]}') == {"a": [1]}
    for text, why in ((nested(101), "deeper than 100"), ("9" * 5_000, "not JSON"), ("{", "JSON")):
        found = stored(text)
        assert isinstance(found, Unreadable)
        assert why in found
        assert json.loads(json.dumps(found)) == found


def test_the_limit_has_a_ceiling_below_every_parser() -> None:
    most = int(CEILINGS["json_depth_max"])
    configure({"json_depth_max": most})
    try:
        text = f'{{"results": [{{"output": {nested(most)}}}]}}'
        assert not is_too_deep(parse_json(text.encode())["results"][0]["output"])
        assert limits().json_depth_max + ENVELOPE < 200  # the parser's own limit
        with pytest.raises(InvalidPolicy, match="at most 150"):
            configure({"json_depth_max": most + 1})
    finally:
        configure({})


def test_a_random_heap_of_brackets_is_measured_or_refused_and_never_more() -> None:
    """Invalid JSON can mislead the measure only where the parser stops."""
    chance = random.Random(11)
    for _ in range(2_000):
        text = "".join(chance.choices('[]{}",:\\1a', k=chance.randrange(40))).encode()
        try:
            within_bounds(text)
            parse_json(text)
        except JoblotError:
            continue
