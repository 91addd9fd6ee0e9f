"""What serves a pipeline: a function or a command, and how many items each call gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from joblot.errors import InvalidInput
from joblot.wire import ClaimedItem
from joblot.worker.function import USUAL, Work, argument, batched, each, whole
from joblot.worker.retrying import Retrying

BATCH_ITEMS_MAX = 1_000
BATCH_BYTES_MAX = 67_108_864  # of the payloads and inputs of one call; one item may have more

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Handler:
    """Work for a pipeline, in calls of up to `batch_items` items."""

    pipeline: str
    work: Work
    batch_items: int = 1
    batch_bytes_max: int = BATCH_BYTES_MAX

    def calls(self, items: Sequence[ClaimedItem]) -> Iterator[Sequence[ClaimedItem]]:
        """Split the items of a lease, in order, into calls."""
        if self.batch_items == 1:
            yield from ([item] for item in items)
            return
        call: list[ClaimedItem] = []
        size = 0
        for item in items:
            more = bytes_of(item)
            if call and (len(call) == self.batch_items or size + more > self.batch_bytes_max):
                yield call
                call, size = [], 0
            call.append(item)
            size += more
        if call:
            yield call


def bytes_of(item: ClaimedItem) -> int:
    """The approximate size of its payload and input as JSON."""
    return len(json.dumps([item.payload, item.input], separators=(",", ":")))


def handler(
    pipeline: str,
    function: Callable[[Any], Any],
    *,
    batch: int = 0,
    whole_item: bool = False,
    batch_bytes_max: int = BATCH_BYTES_MAX,
    retrying: Retrying = USUAL,
) -> Handler:
    """A handler that calls `function` with one item if `batch` is 0, else with up to `batch`.

    `retrying` says which errors are tried again, besides those of a connection.

    Raises InvalidInput if `batch` is negative or too large, or `pipeline` is empty.
    """
    if not pipeline:
        raise InvalidInput("pipeline: expected a name, got nothing")
    if not 0 <= batch <= BATCH_ITEMS_MAX:
        raise InvalidInput(f"batch: expected 0 to {BATCH_ITEMS_MAX}, got {batch}")
    takes = whole if whole_item else argument
    work = (batched if batch else each)(function, takes, retrying)
    return Handler(pipeline, work, batch or 1, batch_bytes_max)


@dataclass(frozen=True, slots=True)
class _Declared:
    function: Callable[[Any], Any]
    pipeline: str
    batch: int
    whole_item: bool

    def handler(self, pipeline: str | None, batch: int | None, retrying: Retrying) -> Handler:
        return handler(
            pipeline or self.pipeline,
            self.function,
            batch=self.batch if batch is None else batch,
            whole_item=self.whole_item,
            retrying=retrying,
        )


@dataclass(frozen=True, slots=True)
class _DeclaredWork:
    """Work that makes its results itself, one item after the other."""

    pipeline: str
    function: Callable[[Retrying], Work]

    def handler(self, pipeline: str | None, batch: int | None, retrying: Retrying) -> Handler:
        return Handler(pipeline or self.pipeline, self.function(retrying))


# Threads: modules append to it when imported; a list may be read at the same time.
_declared: list[_Declared | _DeclaredWork] = []


def work(pipeline: str, *, batch: int = 0, whole_item: bool = False) -> Callable[[F], F]:
    """Declare that the decorated function serves a pipeline; it stays an ordinary function.

    It is called with an item's payload, or its key if there is none; with `whole_item`, with a
    ClaimedItem, which also has the key, the `input` (the output of the previous stage) and the
    attempt. With `batch`, it is called with a list of up to `batch` of these and returns as many
    outputs. It may be async.
    """

    def declare(function: F) -> F:
        _declared.append(_Declared(function, pipeline, batch, whole_item))
        return function

    handler(pipeline, lambda given: given, batch=batch)  # a mistake is reported where it is made
    return declare


def declare(pipeline: str, working: Callable[[Retrying], Work]) -> None:
    """Declare that the work which `working` returns serves a pipeline, as a function with `@work`.

    `working` is called with the errors that are tried again.
    """
    _declared.append(_DeclaredWork(pipeline, working))


def declared(
    function: Callable[..., Any] | None = None,
    *,
    pipeline: str | None = None,
    batch: int | None = None,
    retrying: Retrying = USUAL,
) -> list[Handler]:
    """The handlers of the functions declared with `@work`: of one of them, or of all.

    `pipeline` and `batch` override what was declared; `retrying` says which errors are tried again.
    """
    chosen = [one for one in _declared if function is None or one.function is function]
    return [one.handler(pipeline, batch, retrying) for one in chosen]


def by_pipeline(handlers: Iterable[Handler]) -> dict[str, Handler]:
    """The handlers by pipeline. Raises InvalidInput if there is none, or two serve one pipeline."""
    served: dict[str, Handler] = {}
    for one in handlers:
        if one.pipeline in served:
            raise InvalidInput(f"pipeline {one.pipeline}: expected one function, got two")
        served[one.pipeline] = one
    if not served:
        raise InvalidInput("expected a function with @work(PIPELINE) above it, found none")
    return served
