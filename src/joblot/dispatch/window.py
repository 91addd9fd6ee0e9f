"""The outstanding grants of a pipeline, in bounded number: published, and not taken yet.

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
    """`sequence` is that of its message in the stream, once NATS has acknowledged it."""

    token: UUID
    lease_seconds: float
    sequence: int | None = None
    published_at: float = field(default_factory=time.monotonic)
    checked_at: float = field(default_factory=time.monotonic)  # or published
    renewed_at: float = field(default_factory=time.monotonic)
    was_missing: bool = False  # at the last check: perhaps a worker is just taking it

    @property
    def needs_renewal(self) -> bool:
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

    def remove(self, token: UUID) -> bool:
        """False if it is not in the window."""
        return self._grants.pop(token, None) is not None

    def tokens(self) -> list[UUID]:
        return list(self._grants)

    def acknowledged(self) -> list[Grant]:
        """Those whose message NATS has stored, the oldest first."""
        return [grant for grant in self._grants.values() if grant.sequence is not None]

    def next_to_check(self, most: int, age_seconds: float) -> list[Grant]:
        """Those that were published, or checked, longest ago. They count as checked now."""
        now = time.monotonic()
        found = [grant for grant in self.acknowledged() if now - grant.checked_at > age_seconds]
        found = sorted(found, key=lambda grant: grant.checked_at)[:most]
        for grant in found:
            grant.checked_at = now
        return found

    def older_than(self, seconds: float) -> list[UUID]:
        now = time.monotonic()
        return [one.token for one in self._grants.values() if now - one.published_at > seconds]

    def get(self, token: UUID) -> Grant | None:
        return self._grants.get(token)

    def to_renew(self) -> Iterator[tuple[float, Collection[UUID]]]:
        """The tokens of leases to renew, by the seconds of a lease. They count as renewed."""
        by_seconds: dict[float, list[UUID]] = {}
        for grant in self._grants.values():
            if grant.needs_renewal:
                grant.renewed_at = time.monotonic()
                by_seconds.setdefault(grant.lease_seconds, []).append(grant.token)
        yield from by_seconds.items()
