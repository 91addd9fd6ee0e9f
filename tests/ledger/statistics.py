"""The planner's statistics: of the rows that are there, and none for the tests that follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections


@contextmanager
def current_statistics(using: str) -> Iterator[None]:
    """In this block, plans do not depend on what an earlier test left or autovacuum has seen."""
    analyse(using)
    try:
        yield
    finally:
        forget_statistics(using)


def analyse(using: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("ANALYZE")
    if connections[using].vendor == "sqlite":
        connections[using].close()  # statistics are read when a file is opened


def forget_statistics(using: str) -> None:
    """As in a new database, where no table is known to be empty."""
    ours = "IN (SELECT oid FROM pg_class WHERE relname LIKE 'joblot_%%')"
    with connections[using].cursor() as cursor:
        if connections[using].vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE name LIKE 'sqlite_stat%%'", ())
            for (table,) in cursor.fetchall():
                cursor.execute(f"DROP TABLE {table}")
        else:
            cursor.execute(f"DELETE FROM pg_statistic WHERE starelid {ours}", ())
            cursor.execute(f"UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE oid {ours}", ())
    if connections[using].vendor == "sqlite":
        connections[using].close()
