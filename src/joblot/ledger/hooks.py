"""The adopter's code that runs inside the ledger's transactions, and the events' handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Hook = TypeVar("Hook", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class SettledResult:
    """One success, as a hook gets it. `number` is the item's id in its job."""

    job_id: int
    run: int
    stage: str
    number: int
    key: str
    payload: Any
    output: Any
    metrics: Mapping[str, int]
    config: Any


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job. `id` is stable over all deliveries."""

    id: int
    job_id: int
    run: int
    revision: int
    kind: str
    data: Mapping[str, Any]


ResultHook = Callable[[Sequence[SettledResult]], None]
EventHandler = Callable[[JobEvent], None]

# Modules register when they are imported, which may be while others run: each is one assignment.
_on_result: dict[str, ResultHook] = {}  # Threads: single look-ups, nobody iterates
_on_late: dict[str, ResultHook] = {}  # Threads: single look-ups, nobody iterates
# Threads: who iterates has a copy, which is one operation.
_on_event: dict[str, tuple[frozenset[str], EventHandler]] = {}


def on_result(pipeline: str) -> Callable[[Hook], Hook]:
    """Run the decorated function when results of `pipeline` are counted, in that transaction.

    It gets a list of SettledResult, to be saved in bulk: what it writes in joblot's database
    exists if and only if the items are counted. It may be called again for the same items, after
    a roll-back, and with fewer at a time. Raise PermanentError to fail an item; any other error
    leaves it open, and the worker posts it again.
    """

    def register(hook: Hook) -> Hook:
        _on_result[pipeline] = hook
        return hook

    return register


def on_late(pipeline: str) -> Callable[[Hook], Hook]:
    """Run the decorated function for a success that came too late to be counted, once an item.

    Like on_result, in the transaction that keeps the late output.
    """

    def register(hook: Hook) -> Hook:
        _on_late[pipeline] = hook
        return hook

    return register


def on_event(*kinds: str) -> Callable[[Hook], Hook]:
    """Run the decorated function for events of these kinds ("finished", "amended", …).

    It gets a JobEvent, in a transaction that also marks the delivery: what it writes in joblot's
    database happens exactly once, anything else at least once.
    """

    def register(handler: Hook) -> Hook:
        name = f"{handler.__module__}.{handler.__qualname__}"
        _on_event[name] = (frozenset(kinds), handler)
        return handler

    return register


def any_result_hook() -> bool:
    return bool(_on_result)


def result_hook(pipeline: str) -> ResultHook | None:
    return _on_result.get(pipeline)


def late_hook(pipeline: str) -> ResultHook | None:
    return _on_late.get(pipeline)


def event_handlers(kind: str) -> dict[str, EventHandler]:
    """The handlers of events of this kind, by their stable names."""
    known = list(_on_event.items())
    return {name: handler for name, (kinds, handler) in known if kind in kinds}
