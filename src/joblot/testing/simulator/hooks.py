"""An adopter in the simulation: hooks that save rows, a table for each kind of row that must be
saved once, and the storage of large outputs.

The tables' primary keys are the check: a row that is saved or delivered twice is rejected. Handlers
fail, or hang until their process is killed at its limit, as the history decides. Only a delivery
may call them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, ClassVar

from django.core.files.storage import InMemoryStorage

from joblot.errors import PermanentError
from joblot.ledger.db.transactions import connection
from joblot.ledger.report import hooks
from joblot.testing.simulator.model_receipts import BUSY, REFUSED
from joblot.testing.simulator.trouble import Killed

PIPELINES = ("simulated-0", "simulated-1", "simulated-2")
HOOKED = frozenset({0, 2})  # stages

_TABLES = {
    "joblot_simulated_row": "job bigint, stage int, number int, PRIMARY KEY (job, stage, number)",
    "joblot_simulated_late": (
        "job bigint, run int, stage int, number int, PRIMARY KEY (job, run, stage, number)"
    ),
    "joblot_simulated_event": (
        "job bigint, run int, revision int, kind varchar(24), event bigint, "
        "PRIMARY KEY (job, run, revision, kind)"
    ),
    "joblot_simulated_mail": "job bigint, event bigint",
}


class Fate(StrEnum):
    """The outcome of a handler's next call."""

    FINE = "fine"
    RAISES = "raises"
    HANGS = "hangs"  # after writing its row, until its process is killed


class Adopter:
    """The rows saved by the hooks; each exists if and only if the ledger's record does."""

    def __init__(self, *, hooked: bool) -> None:
        self.hooked = HOOKED if hooked else frozenset()
        self.fates: list[Fate] = []  # of the next calls; all later ones succeed
        self.sweeps = False  # whether a sweep is under way
        self.delivers = False  # whether a delivery is under way
        self.wrong: list[str] = []

    @contextmanager
    def present(self) -> Iterator[None]:
        """Inside the block, the tables exist, and only these hooks are registered."""
        registries: list[dict[str, Any]] = [
            hooks._on_result,  # noqa: SLF001 (restored at the end of the block)
            hooks._on_late,  # noqa: SLF001
            hooks._on_event,  # noqa: SLF001
        ]
        before = [dict(registry) for registry in registries]
        for registry in registries:
            registry.clear()
        self._drop()
        for table, columns in _TABLES.items():
            _execute(f"CREATE TABLE {table} ({columns})")
        self._register()
        SimulatedStorage.adopter = self
        try:
            yield
        finally:
            SimulatedStorage.adopter = None
            for registry, known in zip(registries, before, strict=True):
                registry.clear()
                registry.update(known)
            self._drop()

    def _drop(self) -> None:
        for table in _TABLES:
            _execute(f"DROP TABLE IF EXISTS {table}")

    def _register(self) -> None:
        for stage in self.hooked:
            hooks.on_result(PIPELINES[stage])(_save)
            hooks.on_late(PIPELINES[stage])(_save_late)
        hooks.on_event("finished", "amended")(self.note)
        hooks.on_event("finished", "amended", transactional=False)(self.mail)

    def note(self, event: hooks.JobNotice) -> None:
        """A handler in the delivery's transaction: called exactly once per event, in order."""
        last = _rows("SELECT max(event) FROM joblot_simulated_event WHERE job = %s", event.job_id)
        if (last[0][0] or 0) >= event.id:
            self.wrong.append(f"event {event.id} was delivered after a later one, or twice")
        row = (event.job_id, event.run, event.revision, event.kind, event.id)
        _insert("joblot_simulated_event", [row])
        self._meet_fate()

    def mail(self, event: hooks.JobNotice) -> None:
        """A handler with effects outside the database: called at least once per event."""
        if connection().in_atomic_block:
            self.wrong.append("a transaction is open while mail is sent")
        _insert("joblot_simulated_mail", [(event.job_id, event.id)])
        self._meet_fate()

    def _meet_fate(self) -> None:
        if not self.delivers:
            self.wrong.append("a handler was called outside a delivery")
        self.meet_next()

    def meet_next(self) -> None:
        """Apply the next fate to this call of a handler or of the storage."""
        fate = self.fates.pop() if self.fates else Fate.FINE
        if fate is Fate.RAISES:
            raise ConnectionError("the simulated adopter's code fails")
        if fate is Fate.HANGS:
            raise Killed

    def saved(self, job_id: int) -> set[tuple[int, int]]:
        """(stage, number) of every saved row."""
        return set(_rows("SELECT stage, number FROM joblot_simulated_row WHERE job = %s", job_id))

    def late(self, job_id: int) -> set[tuple[int, int, int]]:
        """(run, stage, number) of every late output."""
        sql = "SELECT run, stage, number FROM joblot_simulated_late WHERE job = %s"
        return set(_rows(sql, job_id))

    def received(self, job_id: int) -> set[tuple[int, int, str]]:
        """(run, revision, kind) of every event received."""
        sql = "SELECT run, revision, kind FROM joblot_simulated_event WHERE job = %s"
        return set(_rows(sql, job_id))

    def mailed(self, job_id: int) -> int:
        """The number of distinct events mailed."""
        sql = "SELECT count(DISTINCT event) FROM joblot_simulated_mail WHERE job = %s"
        return int(_rows(sql, job_id)[0][0])


class SimulatedStorage(InMemoryStorage):
    """The storage of large outputs. Removing a file may fail or hang, as a handler may."""

    adopter: ClassVar[Adopter | None] = None  # Threads: one thread plays a history

    def delete(self, name: str) -> None:
        if self.adopter is not None:
            if self.adopter.sweeps:
                self.adopter.wrong.append("a sweep called the storage")
            self.adopter.meet_next()
        super().delete(name)


def _save(results: Sequence[hooks.SettledResult]) -> None:
    for result in results:
        if result.output == REFUSED:
            raise PermanentError("the simulated hook refuses it")
        if result.output == BUSY:
            raise TimeoutError("the simulated hook is busy")
    _insert("joblot_simulated_row", [(r.job_id, _stage(r), r.number) for r in results])


def _save_late(results: Sequence[hooks.SettledResult]) -> None:
    _insert("joblot_simulated_late", [(r.job_id, r.run, _stage(r), r.number) for r in results])


def _stage(result: hooks.SettledResult) -> int:
    return int(result.stage.removeprefix("s"))


def _insert(table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    places = ", ".join(["%s"] * len(rows[0]))
    with connection().cursor() as cursor:
        for row in rows:
            cursor.execute(f"INSERT INTO {table} VALUES ({places})", row)


def _execute(sql: str) -> None:
    with connection().cursor() as cursor:
        cursor.execute(sql)


def _rows(sql: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection().cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
