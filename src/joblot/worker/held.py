"""The leases that a worker holds, and the state of its calls, shared by its threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from joblot.wire import CallProgress, GrantedLease
from joblot.worker.pulse import Pulse


@dataclass(slots=True)
class HeldLease:
    """A lease, and the items that have no receipt yet.

    `ended` is set once joblot has said that the lease is no longer live.
    """

    lease: GrantedLease
    owed: set[int]
    renewed_at: float
    ended: bool = False
    progress: CallProgress | None = None  # to be sent with the next renewal


@dataclass(slots=True)
class Held:
    """Leases by token, and when the function's current call began.

    Invariant: a lease is here from its claim until each of its items has a receipt or was given
    back. `leases` returns a copy.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _leases: dict[str, HeldLease] = field(default_factory=dict)
    pulse: Pulse | None = None  # shows the calls to a supervisor
    _call_began: float | None = None

    def take(self, lease: GrantedLease) -> HeldLease:
        held = HeldLease(lease, {item.id for item in lease.items}, time.monotonic())
        with self._lock:
            self._leases[lease.token] = held
        return held

    def settle(self, token: str, numbers: Iterable[int]) -> None:
        """No receipt is due for these items any more."""
        with self._lock:
            held = self._leases.get(token)
            if held is None:
                return
            held.owed.difference_update(numbers)
            if not held.owed:
                del self._leases[token]

    def let_go(self, token: str) -> None:
        with self._lock:
            self._leases.pop(token, None)

    def leases(self) -> list[HeldLease]:
        with self._lock:
            return list(self._leases.values())

    def begin_call(self) -> None:
        self._call_began = time.monotonic()
        if self.pulse is not None:
            self.pulse.beat()

    def end_call(self) -> None:
        self._call_began = None
        if self.pulse is not None:
            self.pulse.beat()

    def note_progress(self, token: str, progress: CallProgress) -> None:
        """The current call goes on: it is as if it had just begun."""
        with self._lock:
            if (held := self._leases.get(token)) is not None:
                held.progress = progress
        if self._call_began is not None:
            self._call_began = time.monotonic()
            if self.pulse is not None:
                self.pulse.beat()  # one call ends for the supervisor, and another one begins
                self.pulse.beat()

    def call_seconds(self) -> float:
        """How long the function's current call has taken; 0 between calls."""
        began = self._call_began
        return 0.0 if began is None else time.monotonic() - began
