"""What the databases do differently, as one interface: nothing else asks which of them it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from django.db.backends.base.base import BaseDatabaseWrapper

SLOTS = 64  # tally slots of a stage, numbered from 1; slot 0 is the folded one

INTERRUPT_SECONDS = 1.0  # for a statement to end by itself, once its transaction was ended


class Dialect(ABC):
    """One database; `name` is the suffix of the statements that only it runs."""

    name: ClassVar[str]
    oldest: ClassVar[str]
    # Several transactions write at once and lock rows. Otherwise the one that writes holds the
    # only lock from its beginning: it never waits for a row, and none is passed over.
    locks_rows: ClassVar[bool]
    # A statement that only reads may change rows in its WITH clauses.
    writes_in_with: ClassVar[bool]
    # JSON inside JSON that a statement has built comes as text.
    nests_json_as_text: ClassVar[bool]
    # What stands in a statement's file for `{now}`, with and without a clock set by a test, and
    # for `{slot}`.
    now: ClassVar[str]
    frozen_now: ClassVar[str]
    slot: ClassVar[str]

    @abstractmethod
    def version(self, conn: BaseDatabaseWrapper) -> str:
        """As people write it, e.g. "PostgreSQL 17"."""

    @abstractmethod
    def is_supported(self, conn: BaseDatabaseWrapper) -> bool:
        """True if the version is `oldest` or newer."""

    @abstractmethod
    def location(self, conn: BaseDatabaseWrapper) -> str:
        """Which database it is and where, without its password."""

    @abstractmethod
    def adapted(self, conn: BaseDatabaseWrapper, value: Any) -> Any:
        """A parameter of a statement, as the driver takes it."""

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
        """How much of a time limit a transaction may use without failing others that wait."""

    @abstractmethod
    def end_transaction(self, conn: BaseDatabaseWrapper) -> None:
        """Roll back what another thread does on this connection, and refuse what it may write."""

    @abstractmethod
    def interrupt(self, conn: BaseDatabaseWrapper) -> None:
        """End a statement that began just as its transaction was ended."""

    @abstractmethod
    def restore(self, conn: BaseDatabaseWrapper) -> None:
        """After `end_transaction`, by the connection's own thread: make it usable."""

    @abstractmethod
    def migration_lock(self, conn: BaseDatabaseWrapper) -> AbstractContextManager[None]:
        """One process at a time migrates: servers that start together must not meet in it."""
