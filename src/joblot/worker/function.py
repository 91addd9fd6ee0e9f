"""The function that does the work, on one item or on a batch.

Its errors are results. RetryableError and errors of a connection are retried while the item's
budget lasts; any other exception, of any class, fails the item. A batch that raises is
repeated item by item, so that one bad item fails alone.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import re
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex

from joblot import wire
from joblot.canonical import canonical
from joblot.errors import InvalidInput, InvalidResult
from joblot.given_results import parse_result
from joblot.wire import ClaimedItem, Result
from joblot.worker import exhausted
from joblot.worker.causes import Interrupted, kind_of, message_of, shown, trace_of
from joblot.worker.current import begin_item
from joblot.worker.event_loop import EventLoop
from joblot.worker.outputs import NotOutputs, as_outputs
from joblot.worker.plain import plain
from joblot.worker.retrying import Retrying

logger = logging.getLogger("joblot.worker")

# Processes items and yields their results in any order, each as soon as it is known. A yield counts
# as progress, and a yielded result is not computed again.
Work = Callable[[Sequence[ClaimedItem]], Iterator[list[Result]]]

USUAL = Retrying()
RETURNED = "what it returned: "  # begins the message of an output that can't be kept
SCALARS = (type(None), bool, int, float, str)

Argument = Callable[[ClaimedItem], Any]


@dataclass(frozen=True, slots=True)
class Output:
    """An output with metrics, which a function may return instead of a bare output."""

    value: Any = None
    metrics: Mapping[str, SupportsIndex] = field(default_factory=dict)


def argument(item: ClaimedItem) -> Any:
    """What a function is called with: the item's payload, or its key if it has none."""
    return item.key if item.payload is None and not item.null_payload else item.payload


def whole(item: ClaimedItem) -> ClaimedItem:
    """For a function that is called with the whole item: key, payload, input, attempt."""
    return item


def each(
    function: Callable[[Any], Any],
    argument: Argument = argument,
    retrying: Retrying = USUAL,
) -> Work:
    """The work of a function that takes one argument and returns its output."""
    function = finished(function)

    def work(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        for item in items:
            yield [_result_of_one(lambda one: function(argument(one)), item, retrying)]

    return work


def batched(
    function: Callable[[list[Any]], Sequence[Any]],
    argument: Argument = argument,
    retrying: Retrying = USUAL,
) -> Work:
    """The work of a function that takes a list and returns as many outputs, in the same order."""
    function = finished(function)

    def several(items: Sequence[ClaimedItem]) -> list[Any]:
        begin_item(items[0].id if len(items) == 1 else None)
        return as_outputs(function([argument(item) for item in items]), len(items))

    def work(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        refused: NotOutputs | None = None
        if len(items) > 1:
            try:
                outputs = several(items)
            except Interrupted:
                raise
            except BaseException as error:  # noqa: BLE001 (each item is tried alone next)
                exhausted.note(error)
                logger.info("a batch of %d raised, trying one by one: %s", len(items), shown(error))
                refused = error if type(error) is NotOutputs else None
            else:
                yield [_success(item, out) for item, out in zip(items, outputs, strict=True)]
                return

        def alone(item: ClaimedItem) -> Any:
            try:
                return several([item])[0]
            except NotOutputs as error:
                raise refused or error from None

        for item in items:
            yield [_result_of_one(alone, item, retrying)]

    return work


def finished(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function; for an async one, a wrapper that runs all its calls on one event loop."""
    calls = getattr(function, "__call__", None)  # noqa: B004 (an object may be async to call)
    if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(calls)):
        return function
    loop = EventLoop()

    def finish(given: Any) -> Any:
        return loop.call(function, given)

    weakref.finalize(finish, loop.close)
    return finish


def _result_of_one(
    function: Callable[[ClaimedItem], Any], item: ClaimedItem, retrying: Retrying
) -> Result:
    begin_item(item.id)
    try:
        returned = function(item)
    except Interrupted:
        raise
    except BaseException as error:
        exhausted.note(error)
        logger.debug("item %s failed", item.key, exc_info=True)
        return _failure(item, error, message_of(error), retryable=retrying.allows(error))
    return _success(item, returned)


def _success(item: ClaimedItem, returned: Any) -> Result:
    """A snapshot of what it returned: the function may change it later."""
    try:
        output = returned if isinstance(returned, Output) else Output(returned)
        value = _frozen(output.value)
        return parse_result(wire.success(item.id, value, _whole(output.metrics)))
    except Interrupted:
        raise
    except BaseException as error:  # noqa: BLE001 (its methods may do anything when it is read)
        return _failure(item, error, f"{RETURNED}{message_of(error)}")


def _failure(
    item: ClaimedItem, error: BaseException, message: str, *, retryable: bool = False
) -> Result:
    trace = trace_of(error)
    return wire.failure(item.id, kind_of(error), message, traceback=trace, retryable=retryable)


def _frozen(value: Any) -> Any:
    """The value after a round trip through JSON. Raises InvalidResult."""
    try:
        text = canonical(value)
    except InvalidResult as error:
        value = plain(value)
        try:
            text = canonical(value)
        except InvalidResult as still:
            raise still from error.__cause__
    return value if type(value) in SCALARS else json.loads(text)


def _whole(metrics: Mapping[str, Any]) -> dict[str, int]:
    """The metrics with integers of any class, such as NumPy's, as Python's."""
    return {
        name: value if type(value) is bool or not hasattr(value, "__index__") else index(value)
        for name, value in dict(metrics).items()
    }


def load(name: str) -> Callable[..., Any]:
    """Import `module:function`. Raises InvalidInput, which says what is wrong with the name."""
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise InvalidInput(f"function: expected module:function, got {name!r}")
    found: Any = load_module(module_name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise InvalidInput(f"function: {module_name} has no {path}{_hidden(name)}") from None
    if not callable(found):
        raise InvalidInput(f"function: expected {name} to be callable, got {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def load_module(name: str) -> Any:
    """Import the module. Raises InvalidInput, which says what is wrong."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise InvalidInput(
                f"function: no module named {name} in {Path.cwd()} or Python{_hidden(name)}"
            ) from error
        raise _not_importable(name, error) from error
    except BaseException as error:
        raise _not_importable(name, error) from error


def _hidden(name: str) -> str:
    """Says that a file of the working folder has the name of a standard module; else ""."""
    top = re.split("[.:]", name)[0]
    hidden = [file for file in (f"{top}.py", top) if Path(file).exists()]
    if top not in sys.stdlib_module_names or not hidden:
        return ""
    return f"; {top} is a module of Python, which hides {hidden[0]} in {Path.cwd()}: rename that"


def _not_importable(name: str, error: BaseException) -> InvalidInput:
    return InvalidInput(f"function: module {name} can't be imported: {shown(error)}")
