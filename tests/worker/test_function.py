"""The handling of a function's return values and exceptions, and of its name."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from joblot.config import limits
from joblot.errors import InvalidInput, PermanentError, RetryableError
from joblot.given_results import parse_result
from joblot.wire import ClaimedItem, Result
from joblot.worker import Output, batched, each, load
from joblot.worker.function import Work
from joblot.worker.shapes import result_json


def _all(work: Work, *payloads: object) -> list[Result]:
    return [result for results in work(_items(*payloads)) for result in results]


def _items(*payloads: object) -> list[ClaimedItem]:
    return [ClaimedItem(n, f"k{n}", payload, None, 1) for n, payload in enumerate(payloads)]


def _raises(error: BaseException):
    def function(_: object) -> None:
        raise error

    return function


def test_a_function_gets_the_payload_and_the_key_where_there_is_none():
    got = _all(each(lambda given: given), {"n": 1}, None)
    assert [result.output for result in got] == [{"n": 1}, "k1"]


def test_numbers_to_be_summed_come_beside_the_output():
    (result,) = _all(each(lambda n: Output(n, {"bytes": 3})), 7)
    assert (result.output, result.metrics) == (7, {"bytes": 3})


@pytest.mark.parametrize("error", [RetryableError("busy"), ConnectionResetError(), TimeoutError()])
def test_an_error_that_may_pass_is_retryable(error):
    (result,) = _all(each(_raises(error)), 1)
    assert not result.succeeded
    assert result.retryable


@pytest.mark.parametrize("error", [ValueError("bad"), PermanentError("bad"), SystemExit("bad")])
def test_any_other_error_fails_the_item_with_its_cause(error):
    (result,) = _all(each(_raises(error)), 1)
    assert not result.succeeded
    assert not result.retryable
    assert result.error is not None
    assert (result.error.type, result.error.message) == (type(error).__name__, "bad")


def _read(path: object) -> None:
    try:
        int(f"{path}")
    except ValueError as error:
        raise LookupError("no number") from error


async def _read_later(path: object) -> None:
    await asyncio.sleep(0)
    _read(path)


def _read_all(paths: list[object]) -> list[object]:
    for path in paths:
        _read(path)
    return paths


@pytest.mark.parametrize("work", [each(_read), each(_read_later), batched(_read_all)])
def test_a_failure_has_the_traceback_of_the_users_code_and_its_causes(work: Work):
    (result, *_) = _all(work, "x", "y")
    assert result.error is not None
    frames = re.findall(r'File "(.*)", line \d+, in (\w+)', result.error.traceback)
    assert {Path(file).name for file, _ in frames} == {"test_function.py"}
    assert frames[-1][1] == "_read"
    assert "direct cause of the following exception" in result.error.traceback
    assert result.error.traceback.endswith("LookupError: no number")


def test_a_failure_without_code_of_the_user_has_no_traceback():
    (result,) = _all(batched(set), 1)  # type: ignore[arg-type]
    assert result.error is not None
    assert (result.error.type, result.error.traceback) == ("NotOutputs", "")


def test_a_deep_stack_keeps_its_end():
    def deeper(depth: int) -> int:
        return deeper(depth + 1) + (depth == 400 and 1 // 0)

    (result,) = _all(each(deeper), 0)
    assert result.error is not None
    assert result.error.traceback.endswith(f"{result.error.type}: {result.error.message}")
    assert len(result.error.traceback) <= limits().error_traceback_chars_max


def test_the_traceback_is_posted_and_kept():
    (result,) = _all(each(_read), "x")
    assert parse_result(result_json(result)) == result


@pytest.mark.parametrize("output", [object(), float("nan"), {"a": b"bytes"}, "\ud800"])
def test_an_output_that_is_no_json_fails_the_item(output):
    (result,) = _all(each(lambda _: output), 1)
    assert result.error is not None
    assert "what it returned" in result.error.message


@pytest.mark.parametrize(
    ("output", "where"),
    [
        (float("nan"), "nan"),
        ({"boxes": [{"score": 1.0}, {"score": float("-inf")}]}, "-inf at boxes[1].score"),
    ],
)
def test_a_number_that_is_not_finite_is_named_with_its_place(output, where):
    (result,) = _all(each(lambda _: output), 1)
    assert result.error is not None
    assert result.error.message.endswith(f"which has no NaN and no infinity: found {where}")


def test_numbers_that_cannot_be_summed_exactly_fail_the_item():
    (result,) = _all(each(lambda _: Output(1, {"share": 0.5})), 1)  # type: ignore[dict-item]
    assert result.error is not None
    assert "whole number" in result.error.message


def test_a_batch_is_one_call():
    calls: list[list[int]] = []

    def double(numbers: list[int]) -> list[int]:
        calls.append(numbers)
        return [2 * n for n in numbers]

    assert [result.output for result in _all(batched(double), 1, 2, 3)] == [2, 4, 6]
    assert calls == [[1, 2, 3]]


def test_a_batch_that_raises_is_tried_one_by_one_before_any_item_fails():
    def picky(numbers: list[int]) -> list[int]:
        if 2 in numbers:
            raise MemoryError("out of memory")
        return numbers

    results = _all(batched(picky), 1, 2, 3)
    assert [result.succeeded for result in results] == [True, False, True]


def test_a_batch_with_too_few_outputs_is_not_guessed_at():
    results = _all(batched(lambda numbers: [0]), 1, 2, 3)
    assert [result.output for result in results] == [0, 0, 0]  # each was called alone
    results = _all(batched(lambda numbers: []), 1, 2)
    assert all("expected 1 outputs" in result.error.message for result in results if result.error)
    assert not any(result.succeeded for result in results)


@pytest.mark.parametrize("answer", ["ab", {"a": 1, "b": 2}, None, 5])
def test_a_batch_that_answers_no_list_fails_with_a_clear_cause(answer):
    results = _all(batched(lambda numbers: answer), 1, 2)
    assert all("expected a list" in result.error.message for result in results if result.error)
    assert not any(result.succeeded for result in results)


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "some_work.py").write_text(
        "class Deep:\n    @staticmethod\n    def go(x): return x\n"
        "text = 'x'\nasync def later(x): return x\n"
    )
    (tmp_path / "broken_work.py").write_text("import no_such_dependency\n")
    (tmp_path / "leaving_work.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("some_work", None)


def test_a_function_is_found_by_its_name(module):
    assert load("some_work:Deep.go")(3) == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("some_work", "expected module:function"),
        (":go", "expected module:function"),
        ("no_such_work:go", "no module named no_such_work"),
        ("some_work:nothing", "some_work has no nothing"),
        ("some_work:text", "callable"),
        ("broken_work:go", "no_such_dependency"),
        ("leaving_work:go", "SystemExit: 3"),
    ],
)
def test_a_name_that_leads_to_no_function_is_reported(module, name, said):
    with pytest.raises(InvalidInput, match=said):
        load(name)
