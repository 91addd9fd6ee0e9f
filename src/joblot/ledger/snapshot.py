"""One instant: a reader that needs several statements reads them all from one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.ledger.transactions import connection


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
    with ExitStack() as stack:
        with ExitStack() if writes else _deferred(conn):
            stack.enter_context(transaction.atomic(using=conn.alias))
        if conn.vendor == "postgresql":
            access = "READ WRITE" if writes else "READ ONLY"
            with conn.cursor() as cursor:
                cursor.execute(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, {access}")
        yield


@contextmanager
def _deferred(conn: BaseDatabaseWrapper) -> Iterator[None]:
    """A transaction that begins in the block does not ask for SQLite's write lock.

    Joblot's databases begin each one IMMEDIATE, which waits for it. A deferred one has its
    snapshot from its first read on.
    """
    if conn.vendor != "sqlite":
        yield
        return
    conn.ensure_connection()  # connecting sets the mode
    mode, conn.transaction_mode = conn.transaction_mode, "DEFERRED"  # type: ignore[attr-defined]
    try:
        yield
    finally:
        conn.transaction_mode = mode  # type: ignore[attr-defined]
