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
class JobNotice:
    """Something that happened to a job. `id` is stable over all deliveries.

    `actor` asked for it, for this `reason`; "" if it was nobody's verb.
    """

    id: int
    job_id: int
    run: int
    revision: int
    kind: str
    data: Mapping[str, Any]
    actor: str = ""
    reason: str = ""


ResultHook = Callable[[Sequence[SettledResult]], None]
EventHook = Callable[[JobNotice], None]


@dataclass(frozen=True, slots=True)
class EventHandler:
    """An adopter's function for events, and whether its effects commit with its delivery."""

    name: str
    kinds: frozenset[str]
    call: EventHook
    transactional: bool


# Modules register when they are imported, which may be while others run: each is one assignment.
_on_result: dict[str, ResultHook] = {}  # Threads: single look-ups; list() copies at once
_on_late: dict[str, ResultHook] = {}  # Threads: single look-ups, nobody iterates
_on_event: dict[str, EventHandler] = {}  # Threads: a reader iterates over a copy
_on_fan_out: list[tuple[frozenset[str], EventHook]] = []  # Threads: a reader iterates over a copy


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


def on_event(*kinds: str, transactional: bool = True) -> Callable[[Hook], Hook]:
    """Run the decorated function for events of these kinds ("finished", "amended", …).

    It gets a JobNotice, in a transaction that also marks the delivery: what it writes in joblot's
    database happens exactly once, anything else at least once. With `transactional=False` no
    transaction is open while it runs, and everything happens at least once: for mail and web
    requests, which hold no lock then. A call that takes longer than `handler_seconds_max` is
    ended with its process and tried again; on SQLite a transactional one has half the busy timeout.
    """

    def register(handler: Hook) -> Hook:
        name = f"{handler.__module__}.{handler.__qualname__}"
        _on_event[name] = EventHandler(name, frozenset(kinds), handler, transactional)
        return handler

    return register


def on_fan_out(*kinds: str) -> Callable[[Hook], Hook]:
    """For joblot itself: run the function in the transaction that fans an event out.

    It may write rows and nothing else: the sweep runs it.
    """

    def register(write: Hook) -> Hook:
        _on_fan_out.append((frozenset(kinds), write))
        return write

    return register


def hooked_pipelines() -> list[str]:
    """The pipelines with a hook for results that are counted."""
    return list(_on_result)


def result_hook(pipeline: str) -> ResultHook | None:
    return _on_result.get(pipeline)


def late_hook(pipeline: str) -> ResultHook | None:
    return _on_late.get(pipeline)


def event_handlers() -> dict[str, EventHandler]:
    """All handlers of events, by their stable names."""
    return dict(_on_event)


def handlers_of(kind: str) -> list[str]:
    """The names of the handlers of events of this kind."""
    return [handler.name for handler in event_handlers().values() if kind in handler.kinds]


def fan_out_writers(kind: str) -> list[EventHook]:
    return [write for kinds, write in list(_on_fan_out) if kind in kinds]
