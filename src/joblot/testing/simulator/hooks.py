"""An adopter in the simulation: hooks that save rows, and a table for each thing to be told once.

The tables' primary keys are the check: what is saved or told twice does not go in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from joblot.errors import PermanentError
from joblot.ledger import hooks
from joblot.ledger.transactions import connection
from joblot.testing.simulator.model import Job

PIPELINES = ("simulated-0", "simulated-1", "simulated-2")
HOOKED = frozenset({0, 2})  # stages

_TABLES = {
    "joblot_simulated_row": "job bigint, stage int, number int, PRIMARY KEY (job, stage, number)",
    "joblot_simulated_late": (
        "job bigint, run int, stage int, number int, PRIMARY KEY (job, run, stage, number)"
    ),
    "joblot_simulated_event": (
        "job bigint, run int, revision int, kind varchar(24), "
        "PRIMARY KEY (job, run, revision, kind)"
    ),
}


class Adopter:
    """What the hooks have saved, which exists if and only if the ledger says so."""

    def __init__(self, *, hooked: bool) -> None:
        self.hooked = HOOKED if hooked else frozenset()

    @contextmanager
    def present(self) -> Iterator[None]:
        """Inside the block there are the tables, and the hooks are registered, and no others."""
        registries: list[dict[str, Any]] = [
            hooks._on_result,  # noqa: SLF001 (what is registered here ends with the block)
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
        try:
            yield
        finally:
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
        hooks.on_event("finished", "amended")(_note)

    def saved(self, job_id: int) -> set[tuple[int, int]]:
        """(stage, number) of every row."""
        return set(_rows("SELECT stage, number FROM joblot_simulated_row WHERE job = %s", job_id))

    def late(self, job_id: int) -> set[tuple[int, int, int]]:
        """(run, stage, number) of every late output."""
        sql = "SELECT run, stage, number FROM joblot_simulated_late WHERE job = %s"
        return set(_rows(sql, job_id))

    def told(self, job_id: int) -> set[tuple[int, int, str]]:
        """(run, revision, kind) of every event."""
        sql = "SELECT run, revision, kind FROM joblot_simulated_event WHERE job = %s"
        return set(_rows(sql, job_id))


def _save(results: Sequence[hooks.SettledResult]) -> None:
    for result in results:
        if result.output == Job.REFUSED:
            raise PermanentError("the simulated hook refuses it")
        if result.output == Job.BUSY:
            raise TimeoutError("the simulated hook is busy")
    _insert("joblot_simulated_row", [(r.job_id, _stage(r), r.number) for r in results])


def _save_late(results: Sequence[hooks.SettledResult]) -> None:
    _insert("joblot_simulated_late", [(r.job_id, r.run, _stage(r), r.number) for r in results])


def _note(event: hooks.JobEvent) -> None:
    row = (event.job_id, event.run, event.revision, event.kind)
    _insert("joblot_simulated_event", [row])


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
