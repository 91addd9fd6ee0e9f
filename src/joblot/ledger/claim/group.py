"""Threads of a process that share statements: those that arrive while one is in flight wait for the
next one, which serves all of them.

The member that has waited longest leads: it makes the statement for all, and lets the next one
lead.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar


@dataclass(slots=True, eq=False, kw_only=True)
class Member:
    """One thread's part of a shared statement. `leads` once it is its thread's turn."""

    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False


M = TypeVar("M", bound=Member)
T = TypeVar("T")


class Group(Generic[M]):
    """The members that wait for one database. One statement is in flight at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[M] = []
        self._under_way = False

    def _enter(self, mine: M) -> None:
        with self._lock:
            self._waiting.append(mine)
            mine.leads = not self._under_way
            self._under_way = True

    def _is_to_lead(self, mine: M) -> bool:
        """Wait until its statement was made, or is to be made by this thread."""
        if not mine.leads:
            mine.woken.wait()
        return mine.leads

    def _hand_over(self, batch: Sequence[M]) -> None:
        """Wake those that were served, and the next one, which leads. Whatever has happened, the
        leader must call this: nobody else wakes them.
        """
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._under_way = following is not None
            if following is not None:
                following.leads = True
        for one in batch if following is None else [*batch, following]:
            one.woken.set()


class Groups(Generic[T]):
    """A group for each database, in this process only."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._known: dict[str, T] = {}
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget_parent)

    def __iter__(self) -> Iterator[T]:
        return iter(self._known.values())

    def of(self, using: str) -> T:
        with self._lock:
            return self._known.setdefault(using, self._make())

    def _forget_parent(self) -> None:
        """A fork has none of its parent's threads: none would lead, or release a lock."""
        self._lock = threading.Lock()
        self._known.clear()
