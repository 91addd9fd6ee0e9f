"""Results as they are given: parsed and checked, one by one.

What is wrong with one harms no other: it becomes the receipt that rejects it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from joblot.canonical import is_storable
from joblot.config import limits
from joblot.errors import InvalidResult
from joblot.shown import shown
from joblot.states import Receipt, ReportedOutcome
from joblot.wire import ITEM_MAX, METRIC_MAX, Error, ItemReceipt, Result


def parse_result(given: Result | Mapping[str, Any]) -> Result:
    """Parse and validate a Result from JSON. Raises InvalidResult, naming what was expected."""
    result = given if isinstance(given, Result) else _result_from_json(given)
    _check_item(result.item)
    if not isinstance(result.outcome, ReportedOutcome):
        raise InvalidResult(f"outcome: expected a ReportedOutcome, got {shown(result.outcome)}")
    _check_metrics(result.metrics)
    return result


def parse_results(
    given: Iterable[Result | Mapping[str, Any]],
) -> list[Result | ItemReceipt]:
    """Return one entry per given result: the result, or the receipt that rejects it."""
    return [_parse_or_reject(one) for one in given]


def _parse_or_reject(given: Result | Mapping[str, Any]) -> Result | ItemReceipt:
    try:
        return parse_result(given)
    except InvalidResult as error:
        item = given.get("item") if isinstance(given, Mapping) else getattr(given, "item", None)
        known = item if isinstance(item, int) and not isinstance(item, bool) else None
        return ItemReceipt(known, Receipt.REJECTED, str(error))


def _result_from_json(given: Any) -> Result:
    if not isinstance(given, Mapping):
        raise InvalidResult(f"a result: expected an object, got {type(given).__name__}")
    item: Any = given.get("item")
    _check_item(item)
    return Result(
        item=item,
        outcome=_outcome(given.get("outcome")),
        output=given.get("output"),
        metrics=given.get("metrics") or {},
        error=_error(given.get("error")),
        retryable=_flag(given.get("retryable", False)),
    )


def _check_item(item: Any) -> None:
    if not isinstance(item, int) or isinstance(item, bool) or not 0 <= item <= ITEM_MAX:
        raise InvalidResult(f"item: expected the id from the claim (a number), got {shown(item)}")


def _outcome(given: Any) -> ReportedOutcome:
    try:  # only text: for anything else, the enum would put the repr into its error
        return ReportedOutcome(given if isinstance(given, str) else "")
    except ValueError:
        expected = " or ".join(f'"{one.value}"' for one in ReportedOutcome)
        raise InvalidResult(f"outcome: expected {expected}, got {shown(given)}") from None


def _flag(given: Any) -> bool:
    if not isinstance(given, bool):
        raise InvalidResult(f"retryable: expected true or false, got {shown(given)}")
    return given


def _error(given: Any) -> Error | None:
    if given is None:
        return None
    if isinstance(given, Error):
        return given
    if not isinstance(given, Mapping):
        raise InvalidResult(
            f'error: expected {{"type", "message", "traceback"}}, got {shown(given)}'
        )
    kind, message, traceback = map(given.get, ("type", "message", "traceback"))
    return Error(kind or "Error", message or "", traceback or "")


def _check_metrics(metrics: Any) -> None:
    if metrics == {}:
        return
    if not isinstance(metrics, Mapping):
        raise InvalidResult(f"metrics: expected an object of whole numbers, got {shown(metrics)}")
    if len(metrics) > limits().metrics_per_result_max:
        raise InvalidResult(
            f"metrics: expected at most {limits().metrics_per_result_max}, got {len(metrics)}"
        )
    for name, value in metrics.items():
        if not isinstance(name, str) or not 0 < len(name) <= 100 or not is_storable(name):
            raise InvalidResult(
                f"metrics: expected names of 1 to 100 characters, got {shown(name, 120)}"
            )
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidResult(
                f"metrics.{name}: expected a whole number, got {shown(value)}; sums are exact, so "
                "scale it (milliseconds instead of seconds)"
            )
        if abs(value) > METRIC_MAX:
            raise InvalidResult(f"metrics.{name}: expected -2^43 to 2^43, got {shown(value)}")
