"""Which pipelines the leases are of that this process has claimed: a hint for their reports.

A report whose pipeline has a hook needs a transaction, any other is one call. A wrong or missing
hint costs a round trip.
"""

from __future__ import annotations

from uuid import UUID

_REMEMBERED_MAX = 10_000

_pipelines: dict[UUID, str] = {}  # Threads: single look-ups and assignments, nobody iterates


def note(token: UUID, pipeline: str) -> None:
    if len(_pipelines) >= _REMEMBERED_MAX:
        _pipelines.clear()
    _pipelines[token] = pipeline


def of(token: UUID) -> str | None:
    """The pipeline of the lease, if this process has claimed it lately."""
    return _pipelines.get(token)
