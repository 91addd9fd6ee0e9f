"""F8: numbers, dates and paths of Python and NumPy are outputs; what is none ends a run early."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from enum import Enum
from pathlib import Path, PureWindowsPath
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from joblot.wire import ClaimedItem, Result
from joblot.worker import Output, handler
from tests.cli.conftest import Joblot, joblot, make_joblot

__all__ = ["joblot", "make_joblot"]


class Color(Enum):
    RED = "red"


@dataclasses.dataclass
class Box:
    corner: tuple[np.float32, np.float32]
    path: Path
    at: dt.date


class Index:
    def __index__(self) -> int:
        return 7


ID = UUID("12345678-1234-5678-1234-567812345678")
TAKEN: list[tuple[Any, Any]] = [
    (np.int64(3), 3),
    (np.uint8(255), 255),
    (np.float32(0.5), 0.5),
    (np.float64(0.1), 0.1),
    (np.bool_(True), True),
    (np.str_("s"), "s"),
    (np.datetime64("2030-01-31T12:00"), "2030-01-31T12:00:00"),
    (np.array(5), 5),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (Index(), 7),
    (dt.datetime(2030, 1, 31, 12, tzinfo=dt.UTC), "2030-01-31T12:00:00+00:00"),
    (dt.date(2030, 1, 31), "2030-01-31"),
    (dt.time(12, 30), "12:30:00"),
    (Path("a/b"), "a/b"),
    (PureWindowsPath("a\\b"), "a\\b"),
    (ID, str(ID)),
    (Decimal("0.10"), "0.10"),
    (Color.RED, "red"),
    (
        Box((np.float32(1), np.float32(2)), Path("p"), dt.date(2030, 1, 1)),
        {"corner": [1.0, 2.0], "path": "p", "at": "2030-01-01"},
    ),
    ({np.int64(1): np.int32(2), Path("p"): [dt.date(2030, 1, 1)]}, {"1": 2, "p": ["2030-01-01"]}),
    ({"a": {"b": (np.int8(1), [Color.RED])}}, {"a": {"b": [1, ["red"]]}}),
]


class Series:
    """Like that of pandas: its list leaves out its labels."""

    shape = (1,)

    def keys(self) -> list[str]:
        return ["label"]

    def tolist(self) -> list[int]:
        return [1]

    def item(self) -> int:
        return 1


def _endless() -> list[Any]:
    found: list[Any] = [np.int64(1)]
    found.append(found)
    return found


REFUSED: list[Any] = [
    {1, 2},
    b"bytes",
    1j,
    np.complex64(1j),
    np.longdouble(1) / 3,
    np.float32("nan"),
    np.array([np.nan]),
    Series(),
    object(),
    dt.timedelta(1),
    Box,
    (n for n in range(2)),
    {np.int64(1): 1, "1": 2},
    {(1, 2): 3},
    _endless(),
]


def _result(returned: Any) -> Result:
    ((result,),) = handler("p", lambda _: returned).work([ClaimedItem(0, "k", None, None, 1)])
    return result


@pytest.mark.parametrize(("returned", "expected"), TAKEN, ids=lambda value: type(value).__name__)
def test_what_has_a_certain_meaning_is_an_output(returned: Any, expected: Any):
    result = _result(returned)
    assert result.succeeded, result.error
    assert (result.output, type(result.output)) == (expected, type(expected))


@pytest.mark.parametrize("returned", REFUSED, ids=lambda value: type(value).__name__)
def test_what_has_none_fails_and_says_what_it_is(returned: Any):
    error = _result(returned).error
    assert error is not None
    assert error.message.startswith("what it returned: expected ")


def test_metrics_may_be_integers_of_numpy():
    result = _result(Output(1, {"bytes": np.int64(5), "n": Index(), "m": 2}))
    assert result.metrics == {"bytes": 5, "n": 7, "m": 2}
    assert all(type(one) is int for one in result.metrics.values())
    halves: Any = {"bytes": np.float32(5)}
    assert not _result(Output(1, halves)).succeeded
    assert not _result(Output(1, {"bytes": True})).succeeded


def test_a_run_ends_after_the_first_outputs_that_can_not_be_kept(joblot: Joblot):
    joblot.write("sets.py", "def f(key):\n    open('calls', 'a').write('x')\n    return {key}\n")
    joblot.write("names", "".join(f"n{n}\n" for n in range(3_000)))
    done = joblot("run", "sets:f", "--lines", "names", "--workers", "1", expect=1)
    last = done.stderr.splitlines()[-1]
    assert "no output can be kept (InvalidResult: what it returned: expected a JSON value" in last
    assert "joblot run --resume 1" in last
    (stage,) = joblot.json("show", "1")["stages"]
    assert 5 <= stage["failed"] < 3_000
