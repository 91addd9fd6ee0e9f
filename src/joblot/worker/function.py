"""The function that does the work: of one item, or of a batch.

Its errors are results. RetryableError, ConnectionError and TimeoutError are tried again while the
item's budget lasts; any other error fails the item. A batch that raises is tried item by item
first, so that one bad item fails alone.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import sys
import weakref
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joblot import wire
from joblot.errors import InvalidInput, InvalidResult, PermanentError, RetryableError
from joblot.wire import ClaimedItem, Result

logger = logging.getLogger("joblot.worker")

RETRYABLE = (RetryableError, ConnectionError, TimeoutError)

# Works items and yields their results in any order, each as soon as it is known: a yield is
# progress, and what was yielded is not computed again.
Work = Callable[[Sequence[ClaimedItem]], Iterator[list[Result]]]

Argument = Callable[[ClaimedItem], Any]


@dataclass(frozen=True, slots=True)
class Output:
    """What a function may return instead of a bare output: with numbers to be summed."""

    value: Any = None
    metrics: Mapping[str, int] = field(default_factory=dict)


def argument(item: ClaimedItem) -> Any:
    """What a function is called with: the item's payload; its key, where there is none."""
    return item.key if item.payload is None else item.payload


def whole(item: ClaimedItem) -> ClaimedItem:
    """For a function that is called with all there is: key, payload, input, attempt."""
    return item


def each(function: Callable[[Any], Any], argument: Argument = argument) -> Work:
    """Work of a function that takes one argument and returns its output."""
    function = finished(function)

    def work(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        for item in items:
            yield [_result_of_one(lambda one: function(argument(one)), item)]

    return work


def batched(function: Callable[[list[Any]], Sequence[Any]], argument: Argument = argument) -> Work:
    """Work of a function that takes a list and returns as many outputs, in the same order."""
    function = finished(function)

    def several(items: Sequence[ClaimedItem]) -> list[Any]:
        return _as_many(function([argument(item) for item in items]), len(items))

    def work(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        if len(items) > 1:
            try:
                outputs = several(items)
            except (Exception, SystemExit) as error:  # noqa: BLE001 (whose fault it was is asked next)
                logger.info("a batch of %d raised, trying one by one: %r", len(items), error)
            else:
                yield [_success(item, out) for item, out in zip(items, outputs, strict=True)]
                return
        for item in items:
            yield [_result_of_one(lambda one: several([one])[0], item)]

    return work


def finished(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function, or for an async one, one that waits for it: on one event loop for all calls."""
    calls = getattr(function, "__call__", None)  # noqa: B004 (an object may be async to call)
    if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(calls)):
        return function
    runner = asyncio.Runner()

    async def awaited(call: Awaitable[Any]) -> Any:
        return await call

    def finish(given: Any) -> Any:
        return runner.run(awaited(function(given)))

    weakref.finalize(finish, runner.close)
    return finish


def _as_many(outputs: Any, expected: int) -> list[Any]:
    if isinstance(outputs, (str, bytes, Mapping)) or not hasattr(outputs, "__len__"):
        raise PermanentError(
            f"expected a list of {expected} outputs, one for each item, "
            f"got {type(outputs).__name__}"
        )
    if len(outputs) != expected:
        raise PermanentError(f"expected {expected} outputs, one for each item, got {len(outputs)}")
    return list(outputs)


def _result_of_one(function: Callable[[ClaimedItem], Any], item: ClaimedItem) -> Result:
    try:
        return _success(item, function(item))
    except (Exception, SystemExit) as error:
        logger.debug("item %s failed", item.key, exc_info=True)
        return wire.failure(
            item.id, type(error).__name__, str(error), retryable=isinstance(error, RETRYABLE)
        )


def _success(item: ClaimedItem, returned: Any) -> Result:
    output = returned if isinstance(returned, Output) else Output(returned)
    try:
        wire.canonical(output.value)
        return wire.parse_result(wire.success(item.id, output.value, output.metrics))
    except InvalidResult as error:
        return wire.failure(item.id, type(error).__name__, f"what it returned: {error}")


def load(name: str) -> Callable[..., Any]:
    """The function `module:function`. Raises InvalidInput, with what was wrong about the name."""
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise InvalidInput(f"function: expected module:function, got {name!r}")
    found: Any = load_module(module_name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise InvalidInput(f"function: {module_name} has no {path}") from None
    if not callable(found):
        raise InvalidInput(f"function: expected {name} to be callable, got {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def load_module(name: str) -> Any:
    """The module, imported. Raises InvalidInput, with what was wrong."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            where = ", ".join(path or "." for path in sys.path[:1])
            raise InvalidInput(f"function: no module named {name} in {where} or Python") from error
        raise _not_importable(name, error) from error
    except (Exception, SystemExit) as error:
        raise _not_importable(name, error) from error


def _not_importable(name: str, error: BaseException) -> InvalidInput:
    return InvalidInput(
        f"function: module {name} can't be imported: {type(error).__name__}: {error}"
    )
