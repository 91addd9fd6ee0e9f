"""The ledger's transactions: durable, on the writing database, retried on a conflict.

What a caller may rely on: a verb that returns has committed. One that raises `Unavailable` may
have done all of its work, some, or none: when a connection is lost, it is unknown whether a commit
in progress succeeded. A verb of several transactions reports what is known, with `knowing`.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

from django.db import (
    DatabaseError,
    DataError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connections,
    router,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.config import limits
from joblot.errors import NotDurable, NotMigrated, NotStorable, Unavailable
from joblot.ledger.db.dialect import dialect_of
from joblot.models import Job

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("joblot.ledger")

_CONFLICTS = frozenset({"40001", "40P01", "55P03"})  # serialization, deadlock, lock not available
_OF_CONTENT = frozenset({"22", "54"})  # classes: data exception, program limit exceeded
_MISSING = frozenset({"42P01", "42703", "42883"})  # table, column, function


def alias() -> str:
    """The alias of the database that the ledger writes and reads."""
    return router.db_for_write(Job)


def connection() -> BaseDatabaseWrapper:
    return connections[alias()]


def location() -> str:
    """The ledger's database and its host or file, without the password."""
    return dialect_of(connection()).location(connection())


def database_files() -> list[Path]:
    """The files of an embedded database, which may exist; none for a server's."""
    return dialect_of(connection()).files(connection())


def migration_lock() -> AbstractContextManager[None]:
    """Only one process migrates at a time, so that servers may start together."""
    return dialect_of(connection()).migration_lock(connection())


@contextmanager
def durable() -> Iterator[BaseDatabaseWrapper]:
    """A separate transaction. Raises NotDurable inside a caller's transaction."""
    using = alias()
    require_durable(connections[using])
    with transaction.atomic(using=using, durable=True):
        yield connections[using]


@contextmanager
def savepoint() -> Iterator[None]:
    with transaction.atomic(using=alias()):
        yield


@contextmanager
def hook_savepoint() -> Iterator[None]:
    """A savepoint around an adopter's code. Fails if that code swallowed a database error.

    Otherwise its writes would be rolled back silently. Raises InternalError or
    TransactionManagementError in that case.
    """
    with savepoint():
        yield
        if connection().needs_rollback:
            raise transaction.TransactionManagementError(
                "a database error was swallowed inside transaction.atomic(savepoint=False)"
            )


def require_durable(conn: BaseDatabaseWrapper) -> None:
    """Raise NotDurable inside a transaction, whose rollback would undo what the verb reports."""
    blocks = conn.atomic_blocks
    within_testcase = bool(blocks) and getattr(blocks[-1], "_from_testcase", False)
    if blocks and not within_testcase:
        raise NotDurable(
            "this verb commits before it answers, so it can't run inside transaction.atomic(); "
            "call it after the block, or in transaction.on_commit(). With ATOMIC_REQUESTS, put "
            "@transaction.non_atomic_requests on the view"
        )


def repeated(verb: Callable[P, R]) -> Callable[P, R]:
    """Retry the verb on a conflict with another transaction; translate every other error."""

    @wraps(verb)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        until = time.monotonic() + limits().conflict_seconds_max
        for round_ in range(limits().conflict_retries_max):
            if time.monotonic() > until:
                break
            try:
                return verb(*args, **kwargs)
            except DatabaseError as error:
                if not is_conflict(error) or connection().in_atomic_block:
                    _raise_translated(error)
                logger.debug("%s met a conflict, round %d: %s", verb.__name__, round_, error)
                time.sleep(
                    random.uniform(0, limits().conflict_backoff_seconds * 2 ** min(round_, 6))
                )
            except (InterfaceError, OverflowError) as error:
                _raise_translated(error)
        raise Unavailable(
            "the database is busy: conflicts or locks made the transaction fail in "
            f"{limits().conflict_retries_max} tries, or for {limits().conflict_seconds_max:g} s; "
            "it was rolled back, try again later"
        )

    return wrapper


@contextmanager
def knowing(known: Callable[[], str]) -> Iterator[None]:
    """Add to an `Unavailable` what is known about the steps before the one that failed."""
    try:
        yield
    except NotMigrated:
        raise  # nothing was done
    except Unavailable as error:
        error.args = (f"{error}; {known()}",)
        raise


def sqlstate(error: BaseException) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def is_conflict(error: BaseException) -> bool:
    """True if running the same transaction again may succeed."""
    if sqlstate(error) in _CONFLICTS:
        return True
    return isinstance(error, OperationalError) and "is locked" in str(error)


def is_of_content(error: BaseException) -> bool:
    """True if the database can't store a value: a number or text that is too large, or invalid."""
    return (
        isinstance(error, (DataError, OverflowError))
        or sqlstate(error)[:2] in _OF_CONTENT
        or "integer overflow" in str(error)  # a sum, on SQLite
    )


def is_lost(error: BaseException) -> bool:
    """True if the database itself failed, so that the outcome of the work is unknown."""
    return isinstance(error, (OperationalError, InterfaceError))


def brief(error: BaseException) -> str:
    """The error's first line: on later lines PostgreSQL shows the rows and their data."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _raise_translated(error: Exception) -> NoReturn:
    """An error that is not translated keeps its cause, by which the caller detects a conflict."""
    translated_error = translated(error)
    if translated_error is error:
        raise error
    raise translated_error from error


def translated(error: Exception) -> Exception:
    """The joblot error that corresponds to a database error, or that error itself."""
    if sqlstate(error) in _MISSING or "no such table" in str(error):
        return NotMigrated(
            "joblot's tables are missing or of an older version; run the migrations "
            "(`joblot migrate`, or `python manage.py migrate joblot`)"
        )
    if is_of_content(error):
        return NotStorable(f"the database can't store a value: {brief(error)}")
    if isinstance(error, ProgrammingError) or not is_lost(error):
        return error
    connection().close_if_unusable_or_obsolete()
    return Unavailable(
        f"the database does not answer: {brief(error)}; the request may have been carried out or "
        "not; try again later"
    )


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
