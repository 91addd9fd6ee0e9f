"""What this process has made claimable, for its caches of candidates."""

from __future__ import annotations

import itertools

from django.db import transaction

from joblot.ledger.db.transactions import alias, connection

_numbers = itertools.count(1)  # Threads: `next` of it is atomic
_generation = 0  # Threads: each value is assigned once, so none that was left comes back


def generation() -> int:
    """Changes whenever this process has made something claimable: a cache read before is stale."""
    return _generation


def note_claimable() -> None:
    """Something may be claimed that could not be before, now or once this transaction commits.

    A caller that submits and claims in one process then meets the order that it expects; other
    processes notice within `candidates_seconds`.
    """
    _advance()
    if connection().in_atomic_block:
        transaction.on_commit(_advance, using=alias())


def _advance() -> None:
    global _generation  # noqa: PLW0603 (of the process)
    _generation = next(_numbers)
