"""How many pages of tables a verb reads on PostgreSQL, by the server's statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections

from tests.ledger.statistics import current_statistics

TIMES = 3  # autovacuum, whose reads of these tables count too, does not run three times in a row


def least_read(alias: str, verb: Callable[[], Any], tables: Sequence[str]) -> int:
    """The fewest pages of the tables and of their indexes that one of several calls has read.

    The plans are those for the rows that are there, not for what another test has left.
    """
    counts = []
    with current_statistics(alias):
        for _ in range(TIMES):
            before = _read(alias, tables)
            assert verb()
            counts.append(_read(alias, tables) - before)
    return min(counts)


def _read(alias: str, tables: Sequence[str]) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)"
            " FROM pg_statio_user_tables WHERE relname = ANY(%s)",
            [list(tables)],
        )
        return int(cursor.fetchone()[0])
