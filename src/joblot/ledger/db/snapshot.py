"""Snapshots: a reader that needs several statements runs them all on one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

from django.db import transaction

from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.transactions import connection


@contextmanager
def one_snapshot(*, writes: bool = False) -> Iterator[None]:
    """All reads inside the block, or the decorated function, see one snapshot.

    A reader takes no lock and blocks no writer, nor does it on SQLite (in WAL mode). With `writes`,
    changing a row that has changed since the snapshot is a conflict, to be `repeated`. Inside a
    caller's transaction, that transaction's isolation level applies.
    """
    conn = connection()
    if conn.in_atomic_block:
        yield
        return
    dialect = dialect_of(conn)
    with ExitStack() as stack:
        with nullcontext() if writes else dialect.begin_reading(conn):
            stack.enter_context(transaction.atomic(using=conn.alias))
        dialect.use_one_snapshot(conn, writes=writes)
        yield
