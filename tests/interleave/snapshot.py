"""A scene kept in tables of its own, so that every schedule begins with the very same rows.

Making a job by its verbs takes longer than a schedule; putting its rows back is one script.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.models import Model


class Snapshot:
    """The rows of all of joblot's tables, as they are when it is made."""

    def __init__(self, alias: str, name: str) -> None:
        self._kept = f"kept_{name}_"
        self._connection = connections[alias]
        self._vendor = self._connection.vendor
        models = apps.get_app_config("joblot").get_models(include_auto_created=True)
        self._models: dict[str, type[Model]] = {model._meta.db_table: model for model in models}
        self._run(f"CREATE TABLE {self._kept}{t} AS SELECT * FROM {t}" for t in self._models)
        self._restoring = [*self._deletes(), *self._numbering()]

    def restore(self) -> None:
        """Put the rows back, and the ids that the next rows will get."""
        self._run(self._restoring)

    def rows(self) -> list[tuple[str, str]]:
        """All rows that there are now, as (table, text), without the numbers of tally slots."""
        if self._vendor == "sqlite":
            reads = {t: f"SELECT {self._columns(t)} FROM {t}" for t in self._models}
            return [(t, str(row)) for t, read in reads.items() for row in self._fetch(read)]
        rows = (f"SELECT '{t}', ROW({self._columns(t)})::text FROM {t}" for t in self._models)
        return self._fetch(" UNION ALL ".join(rows))

    def _deletes(self) -> Iterator[str]:
        if self._vendor == "postgresql":
            # A replica fires no triggers: joblot's own refuse such a thing.
            yield "SET LOCAL session_replication_role = replica"
        for table in self._models:
            yield f"DELETE FROM {table}"
            yield f"INSERT INTO {table} SELECT * FROM {self._kept}{table}"

    def _numbering(self) -> Iterator[str]:
        if self._vendor == "sqlite":
            for table in self._models:
                last = f"COALESCE((SELECT max(rowid) FROM {table}), 0)"
                yield f"UPDATE sqlite_sequence SET seq = {last} WHERE name = '{table}'"
            return
        for table, model in self._models.items():
            key = model._meta.auto_field
            if key is not None:
                sequence = f"pg_get_serial_sequence('{table}', '{key.column}')"
                free = f"COALESCE(max({key.column}), 0) + 1"
                yield f"SELECT setval({sequence}, {free}, false) FROM {table}"

    def _columns(self, table: str) -> str:
        used = "CASE WHEN slot > 0 THEN 1 ELSE 0 END"
        columns = (str(field.column) for field in self._models[table]._meta.concrete_fields)
        return ", ".join(used if column == "slot" else column for column in columns)

    def _fetch(self, select: str) -> list[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(select)
            return list(cursor.fetchall())

    def _run(self, statements: Iterable[str]) -> None:
        """All of them in one transaction and one round trip, past Django."""
        script = "; ".join(["BEGIN", *statements, "COMMIT"])
        self._connection.ensure_connection()
        raw: Any = self._connection.connection
        if self._vendor == "sqlite":
            raw.executescript(script)
        else:
            raw.execute(script, prepare=False)
