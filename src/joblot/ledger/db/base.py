"""The differences between the databases, as one interface. No other code checks the vendor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from django.db.backends.base.base import BaseDatabaseWrapper

SLOTS = 64  # tally slots of a stage, numbered from 1; slot 0 is the folded one

INTERRUPT_SECONDS = 1.0  # for a statement to end by itself, once its transaction has been ended


class Dialect(ABC):
    """One database; `name` is the suffix of the statements that only it runs."""

    name: ClassVar[str]
    oldest: ClassVar[str]
    # Several transactions write concurrently and lock rows. Otherwise a writing transaction holds
    # the only lock from its start: it never waits for a row and never skips one.
    locks_rows: ClassVar[bool]
    # A statement that only reads may change rows in its WITH clauses.
    writes_in_with: ClassVar[bool]
    # Verbs of several statements are functions in the database: see `functions`.
    has_functions: ClassVar[bool]
    # LISTEN and NOTIFY wake other processes.
    has_notifications: ClassVar[bool]
    # JSON values nested in JSON that a statement builds are returned as text.
    nests_json_as_text: ClassVar[bool]
    # What replaces `{now}` in a statement's file (`frozen_now` with a clock set by a test),
    # `{slot}`, and behind `joblot_lease` `{by_state}` and `{gave_back}`: the index to read it by.
    now: ClassVar[str]
    frozen_now: ClassVar[str]
    slot: ClassVar[str]
    by_state: ClassVar[str] = ""
    gave_back: ClassVar[str] = ""

    @abstractmethod
    def version(self, conn: BaseDatabaseWrapper) -> str:
        """The name and version for display, e.g. "PostgreSQL 17"."""

    @abstractmethod
    def is_supported(self, conn: BaseDatabaseWrapper) -> bool:
        """True if the version is `oldest` or newer."""

    @abstractmethod
    def location(self, conn: BaseDatabaseWrapper) -> str:
        """The database and its host or file, without the password."""

    @abstractmethod
    def files(self, conn: BaseDatabaseWrapper) -> list[Path]:
        """The files of an embedded database, which may exist; none for a server's."""

    @abstractmethod
    def adapted(self, conn: BaseDatabaseWrapper, value: Any) -> Any:
        """A statement's parameter in the form that the driver accepts."""

    @abstractmethod
    def cursor(self, conn: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
        """A cursor of the driver, for one statement; what it returns is read inside the block."""

    def committing_cursor(self, conn: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
        """A cursor of the driver for several statements in one message, of which one is COMMIT.

        Only where `has_functions`.
        """
        raise NotImplementedError(self.name)

    @abstractmethod
    def insert(
        self, conn: BaseDatabaseWrapper, table: str, columns: str, rows: Iterable[tuple[Any, ...]]
    ) -> None:
        """Insert many rows."""

    @abstractmethod
    def begin_reading(self, conn: BaseDatabaseWrapper) -> AbstractContextManager[None]:
        """A transaction that begins inside the block takes no lock until it writes."""

    @abstractmethod
    def use_one_snapshot(self, conn: BaseDatabaseWrapper, *, writes: bool) -> None:
        """All statements of the transaction that has just begun read from one snapshot."""

    @abstractmethod
    def limit_lock_wait(self, conn: BaseDatabaseWrapper, seconds: float) -> None:
        """Statements of this transaction fail after waiting `seconds` for a row."""

    @abstractmethod
    def seconds_within(self, conn: BaseDatabaseWrapper, seconds: float) -> float:
        """How much of a time limit a transaction may use before waiting transactions would fail."""

    @abstractmethod
    def end_transaction(self, conn: BaseDatabaseWrapper) -> None:
        """Roll back another thread's transaction on this connection; refuse its later writes."""

    @abstractmethod
    def interrupt(self, conn: BaseDatabaseWrapper) -> None:
        """Interrupt a statement that began just as its transaction was ended."""

    @abstractmethod
    def restore(self, conn: BaseDatabaseWrapper) -> None:
        """Make the connection usable after `end_transaction`; its own thread calls this."""

    @abstractmethod
    def migration_lock(self, conn: BaseDatabaseWrapper) -> AbstractContextManager[None]:
        """Only one process migrates at a time, so that servers may start together."""
