"""One instant: a reader that needs several statements reads them all from one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

from django.db import transaction

from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.transactions import connection


@contextmanager
def one_snapshot(*, writes: bool = False) -> Iterator[None]:
    """Inside the block, or the function it decorates, all that is read is of one instant.

    A reader takes no lock and keeps no writer waiting, on SQLite either (in WAL mode). With
    `writes`, a change of what was changed since meets a conflict, and is to be `repeated`. Inside
    somebody else's transaction, that transaction's isolation is what there is.
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
