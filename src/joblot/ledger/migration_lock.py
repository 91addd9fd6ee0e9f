"""One process at a time migrates: servers that start together must not meet in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from joblot.ledger.transactions import connection

_KEY = 0x6A6F626C6F74  # "joblot"


@contextmanager
def migration_lock() -> Iterator[None]:
    """Hold PostgreSQL's advisory lock of joblot's migrations; it ends with the connection."""
    with connection().cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_KEY])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_KEY])
