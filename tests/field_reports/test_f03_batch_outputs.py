"""F3: outputs are paired with their items only where their order is certain."""

from __future__ import annotations

import collections
import re
from array import array
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from joblot.wire import ClaimedItem, Result
from joblot.worker import handler
from tests.cli.conftest import Joblot, joblot, make_joblot

__all__ = ["joblot", "make_joblot"]


class DataFrame:
    """Like pandas: its length is the number of rows, but it iterates over column names."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[str]:
        return iter([f"column{n}" for n in range(self.rows)])

    @property
    def shape(self) -> tuple[int, int]:
        return (self.rows, self.rows)

    ndim = 2


class Series(DataFrame):
    """Its values have labels, and keep the order of the last sort."""

    shape = property(lambda self: (self.rows,))
    ndim = 1

    def keys(self) -> list[int]:
        return list(range(self.rows))

    def tolist(self) -> list[int]:
        return [0] * self.rows


class Raises:
    """Its length raises an error."""

    def __len__(self) -> int:
        raise KeyboardInterrupt


class Array:
    """Like the arrays of libraries that are not installed here."""

    def __init__(self, values: list[int]) -> None:
        self.values = values
        self.ndim, self.shape = 1, (len(values),)

    def tolist(self) -> list[int]:
        return self.values


class Pair(NamedTuple):
    labels: list[str]
    scores: list[float]


def _table(n: int) -> Any:
    return collections.UserList(range(n))


NOT_A_SEQUENCE: dict[str, Callable[[int], Any]] = {
    "set": lambda n: set(range(n)),
    "frozenset": lambda n: frozenset(range(n)),
    "dict": lambda n: dict.fromkeys(range(n)),
    "dict_keys": lambda n: dict.fromkeys(range(n)).keys(),
    "dict_values": lambda n: dict.fromkeys(range(n)).values(),
    "dict_items": lambda n: dict.fromkeys(range(n)).items(),
    "Counter": lambda n: collections.Counter(map(str, range(n))),
    "ChainMap": lambda n: collections.ChainMap(dict.fromkeys(range(n))),
    "deque": lambda n: collections.deque(range(n)),
    "UserList": _table,
    "str": lambda n: "x" * n,
    "bytes": lambda n: b"x" * n,
    "bytearray": bytearray,
    "memoryview": lambda n: memoryview(bytes(n)),
    "range": range,
    "generator": lambda n: (k for k in range(n)),
    "map": lambda n: map(str, range(n)),
    "zip": lambda n: zip(range(n), range(n), strict=True),
    "NoneType": lambda n: None,
    "int": lambda n: n,
    "DataFrame": DataFrame,
    "Series": Series,
    "Raises": lambda n: Raises(),
    "type": lambda n: Array,
    "ndarray of shape (2, 5)": lambda n: np.zeros((2, 5)),
    "ndarray of shape ()": np.array,
}

SEQUENCE: dict[str, Callable[[list[int]], Any]] = {
    "list": list,
    "tuple": tuple,
    "array": lambda given: array("q", given),
    "ndarray": np.array,
    "Array": Array,
}


def _results(function: Callable[[list[int]], Any], count: int) -> list[Result]:
    items = [ClaimedItem(n, f"k{n}", n, None, 1) for n in range(count)]
    return [one for results in handler("p", function, batch=5).work(items) for one in results]


@pytest.mark.parametrize("kind", list(NOT_A_SEQUENCE))
def test_what_has_a_length_and_no_certain_order_is_paired_with_no_item(kind: str):
    results = _results(lambda numbers: NOT_A_SEQUENCE[kind](len(numbers)), 5)
    assert len(results) == 5
    for result in results:
        assert result.error is not None
        assert result.error.message == f"expected a list of 5 outputs, got {kind}"


@pytest.mark.parametrize("kind", list(SEQUENCE))
def test_lists_tuples_and_arrays_are_paired_in_their_order(kind: str):
    results = _results(lambda numbers: SEQUENCE[kind]([n * n for n in numbers]), 5)
    assert [(one.item, one.output) for one in results] == [(n, n * n) for n in range(5)]


def test_a_named_tuple_has_fields_and_not_outputs():
    for result in _results(lambda numbers: Pair(["a", "b"], [0.1, 0.2]), 2):
        assert result.error is not None
        assert result.error.message == "expected a list of 2 outputs, got Pair"


def test_an_array_that_lists_less_than_it_has_fails():
    class Short(Array):
        def tolist(self) -> list[int]:
            return self.values[1:]

    assert not any(one.succeeded for one in _results(Short, 3))


def test_one_item_whose_batch_answers_no_list_takes_no_other_along():
    results = _results(lambda numbers: None if 3 in numbers else numbers, 5)
    assert [one.succeeded for one in results] == [True, True, True, False, True]


@pytest.mark.parametrize("made", ["set(keys)", "{key: 1 for key in keys}", "Frame(keys)"])
def test_a_run_fails_such_a_batch_and_says_what_came(joblot: Joblot, made: str):
    joblot.write(
        "batches.py",
        "class Frame(dict):\n    def __init__(self, keys): super().__init__(a=keys)\n"
        "    def __len__(self): return len(self['a'])\n\n"
        f"def outputs(keys):\n    return {made}\n",
    )
    joblot.write("names", "".join(f"n{n}\n" for n in range(10)))
    options = ["--lines", "names", "--batch", "5", "--workers", "1"]
    done = joblot("run", "batches:outputs", *options, expect=1)
    assert re.search(r"NotOutputs: expected a list of 5 outputs, got (set|dict|Frame)", done.stderr)
    (stage,) = joblot.json("show", "1")["stages"]
    assert (stage["succeeded"], stage["failed"]) == (0, 10)
