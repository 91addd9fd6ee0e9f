"""A list is split into its entries, wherever the network has split its bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joblot.contrib.antenna.entries import Entry, entries
from joblot.errors import NotReadable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from('"\\[]{},:'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=3)


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def cut(body: str | bytes, size: int = 7, bytes_max: int = 1_000) -> list[Entry]:
    whole = body if isinstance(body, bytes) else body.encode()
    return list(entries(pieces(whole, size), "results", bytes_max))


def texts(body: str, size: int = 7) -> list[str]:
    return [entry.text.decode() for entry in cut(body, size)]


@given(
    listed=st.lists(OBJECTS | st.lists(JSON, max_size=3), max_size=5),
    other=OBJECTS,
    size=st.integers(1, 50),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
)
def test_every_entry_is_found_whole_in_its_place(
    listed: list[Any], other: Any, size: int, indent: int | None, ascii_only: bool
) -> None:
    body = {"before": other, "results": listed, "after": other, "nested": {"results": [1]}}
    text = json.dumps(body, indent=indent, ensure_ascii=ascii_only).encode()
    found = cut(text, size, bytes_max=100_000)
    assert [json.loads(entry.text) for entry in found] == listed
    assert all(entry.whole for entry in found)


def test_what_is_no_json_stays_between_its_neighbours() -> None:
    assert texts('{"results": [{"a": NaN}, {oops: "}"}, {"b": 1}]}') == [
        '{"a": NaN}',
        '{oops: "}"}',
        '{"b": 1}',
    ]


def test_what_is_no_object_is_an_entry_too() -> None:
    assert texts('{"results": [7, {}, "x]"]}') == ["7", "{}", '"x]"']


def test_a_list_of_nothing() -> None:
    assert texts('{"results": [ ]}') == []


def test_of_an_entry_that_is_too_large_the_beginning_is_kept() -> None:
    first, second = cut(f'{{"results": [{{"reply": "{"x" * 100}"}}, {{}}]}}', bytes_max=20)
    assert first == Entry(b'{"reply": "xxxxxxxxx', 113)
    assert not first.whole
    assert second.whole


@pytest.mark.parametrize("size", [1, 2, 1_000])
@pytest.mark.parametrize(
    "body",
    [
        "",
        "nonsense",
        "[]",
        '[{"results": []}]',
        "{}",
        '{"results": {}}',
        '{"results": 7}',
        '{"nested": {"results": []}}',
        '{"results": [{}',
        '{"results": [{}]',
        '{"results": ["',
        '{"results": [{}}}',
    ],
)
def test_a_body_in_which_no_list_can_be_found(body: str, size: int) -> None:
    with pytest.raises(NotReadable):
        cut(body, size)
