"""The grants that a dispatcher has sent out and that no worker has taken yet, in bounded number.

It holds no items, so that its memory does not depend on the size of a job.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from uuid import UUID

RENEWALS_PER_LEASE = 3


@dataclass(slots=True)
class Grant:
    """A lease on its way. `place` is the message's number in the stream, once it is stored."""

    token: UUID
    lease_seconds: float
    place: int | None = None
    sent_at: float = field(default_factory=time.monotonic)
    looked_at: float = field(default_factory=time.monotonic)  # or sent
    renewed_at: float = field(default_factory=time.monotonic)
    was_missed: bool = False  # not found at the last look: perhaps a worker is just taking it

    @property
    def is_due(self) -> bool:
        """Whether it is to be renewed."""
        return time.monotonic() - self.renewed_at > self.lease_seconds / RENEWALS_PER_LEASE


class Window:
    """At most `size` grants."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._grants: dict[UUID, Grant] = {}

    def __len__(self) -> int:
        return len(self._grants)

    @property
    def room(self) -> int:
        return self._size - len(self._grants)

    def add(self, grant: Grant) -> None:
        self._grants[grant.token] = grant

    def drop(self, token: UUID) -> bool:
        """It was taken, or has ended. False if it was not here."""
        return self._grants.pop(token, None) is not None

    def tokens(self) -> list[UUID]:
        return list(self._grants)

    def stored(self) -> list[Grant]:
        """Those that the broker has confirmed, the oldest first."""
        return [grant for grant in self._grants.values() if grant.place is not None]

    def oldest(self, most: int, age_seconds: float) -> list[Grant]:
        """Those that were sent, or looked for, longest ago; now they are looked for."""
        now = time.monotonic()
        found = [grant for grant in self.stored() if now - grant.looked_at > age_seconds]
        found = sorted(found, key=lambda grant: grant.looked_at)[:most]
        for grant in found:
            grant.looked_at = now
        return found

    def aged(self, seconds: float) -> list[UUID]:
        """Those that are on their way for longer than that."""
        now = time.monotonic()
        return [one.token for one in self._grants.values() if now - one.sent_at > seconds]

    def get(self, token: UUID) -> Grant | None:
        return self._grants.get(token)

    def due(self) -> Iterator[tuple[float, Collection[UUID]]]:
        """Those to renew, by how long a renewal of them lasts."""
        by_seconds: dict[float, list[UUID]] = {}
        for grant in self._grants.values():
            if grant.is_due:
                grant.renewed_at = time.monotonic()
                by_seconds.setdefault(grant.lease_seconds, []).append(grant.token)
        yield from by_seconds.items()
