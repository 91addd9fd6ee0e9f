"""A scene saved in separate tables, so that every schedule begins with the same rows.

Creating a job by its verbs takes longer than a schedule; restoring its rows is one script.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.models import Model

SLOTTED = {"joblot_tally", "joblot_metric"}  # `rows` omits their slots
Rows = Sequence[tuple[str, str]]  # (table, row as text)


class Snapshot:
    """The rows of all of joblot's tables at its creation."""

    def __init__(self, alias: str, name: str) -> None:
        self._kept = f"kept_{name}_"
        self._connection = connections[alias]
        self._vendor = self._connection.vendor
        models = apps.get_app_config("joblot").get_models(include_auto_created=True)
        self._models: dict[str, type[Model]] = {model._meta.db_table: model for model in models}
        self._run(f"CREATE TABLE {self._kept}{t} AS SELECT * FROM {t}" for t in self._models)
        self._numbering = self._numbering_of_now()
        self._reads = {t: f"SELECT {self._columns(t)} FROM {t}" for t in self._models}
        self._first = by_table(self.rows())

    def restore(self, changed: Collection[str] | None = None) -> None:
        """Restore the rows of the `changed` tables (None: perhaps all), and the sequences of all
        ids.
        """
        tables = self._models if changed is None else changed
        self._run([*self._deletes(tables), *self._numbering])

    def rows(self) -> Rows:
        """All current rows, without the numbers of tally slots."""
        raw = self._raw()
        if self._vendor == "sqlite":
            return [(t, str(row)) for t, read in self._reads.items() for row in raw.execute(read)]
        rows = (f"SELECT '{t}', (row)::text FROM ({read}) row" for t, read in self._reads.items())
        return list(raw.execute(" UNION ALL ".join(rows), prepare=True).fetchall())

    def changed(self, rows: Rows) -> Collection[str]:
        """The tables whose rows may have changed."""
        now = by_table(rows)
        return [t for t in self._models if t in SLOTTED or now[t] != self._first[t]]

    def _deletes(self, tables: Iterable[str]) -> Iterator[str]:
        if self._vendor == "postgresql":
            # The replica role fires no triggers: joblot's own would refuse this.
            yield "SET LOCAL session_replication_role = replica"
        for table in tables:
            yield f"DELETE FROM {table}"
            yield f"INSERT INTO {table} SELECT * FROM {self._kept}{table}"

    def _numbering_of_now(self) -> list[str]:
        if self._vendor == "sqlite":
            last = "COALESCE((SELECT max(rowid) FROM {0}), 0)"
            update = f"UPDATE sqlite_sequence SET seq = {last} WHERE name = '{{0}}'"
            return [update.format(table) for table in self._models]
        numbered = (t for t, model in self._models.items() if model._meta.auto_field)
        return ["SELECT " + ", ".join(map(self._set_number, numbered))]

    def _set_number(self, table: str) -> str:
        query = (
            f"SELECT pg_get_serial_sequence('{table}', 'id'), COALESCE(max(id), 0) + 1 FROM {table}"
        )
        name, free = self._raw().execute(query).fetchone()
        return f"setval('{name}', {free}, false)"

    def _columns(self, table: str) -> str:
        used = "CASE WHEN slot > 0 THEN 1 ELSE 0 END"
        columns = (str(field.column) for field in self._models[table]._meta.concrete_fields)
        return ", ".join(used if column == "slot" else column for column in columns)

    def _raw(self) -> Any:
        """The driver's own connection, bypassing Django."""
        self._connection.ensure_connection()
        return self._connection.connection

    def _run(self, statements: Iterable[str]) -> None:
        """Run all of them in one transaction and one round trip."""
        script = "; ".join(["BEGIN", *statements, "COMMIT"])
        if self._vendor == "sqlite":
            self._raw().executescript(script)
        else:
            self._raw().execute(script, prepare=False)


def by_table(rows: Rows) -> Mapping[str, Sequence[str]]:
    found = defaultdict(list)
    for table, row in sorted(rows):
        found[table].append(row)
    return found
