"""Tracks when this process makes something claimable, for its candidates caches."""

from __future__ import annotations

import itertools

from django.db import transaction

from joblot.ledger.db.transactions import alias, connection
from joblot.ledger.rows.wake import note_work

_numbers = itertools.count(1)  # Threads: `next` of it is atomic
_generation = 0  # Threads: each value is assigned at most once, so an earlier one never returns


def generation() -> int:
    """Changes whenever this process makes something claimable: a snapshot read before is stale."""
    return _generation


def note_claimable() -> None:
    """Note that more may be claimed, now or once this transaction commits.

    So a caller that submits and claims in one process gets the order that it expects; other
    processes notice within `candidates_seconds`.
    """
    _advance()
    if connection().in_atomic_block:
        transaction.on_commit(_advance, using=alias())
    note_work()


def _advance() -> None:
    global _generation  # noqa: PLW0603 (of the process)
    _generation = next(_numbers)
