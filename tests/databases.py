"""The two databases of the suite: which one a test uses, and how it is emptied."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

ALIASES = ("sqlite", "postgres")
LOCK_SECONDS_MAX = 5.0
KEPT = ("auth.Permission",)  # as the migrations made it

# Not a context variable: it applies to all threads of this process.
_current = os.environ.get("JOBLOT_TEST_ALIAS", "sqlite")


class CurrentDatabase:
    """Routes everything to the database of the running test."""

    def db_for_read(self, model: type, **hints: object) -> str:
        return _current

    def db_for_write(self, model: type, **hints: object) -> str:
        return _current

    def allow_relation(self, *objects: object, **hints: object) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool:
        return db == _current


def current() -> str:
    return _current


@contextmanager
def using(alias: str) -> Iterator[None]:
    """Inside the block, this process and its children use the database `alias`."""
    global _current  # noqa: PLW0603 (one process runs one test at a time)
    before, _current = _current, alias
    os.environ["JOBLOT_TEST_ALIAS"] = alias
    try:
        yield
    finally:
        _current = before
        os.environ["JOBLOT_TEST_ALIAS"] = before


def point(alias: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Point `alias` to another database; returns the argument that undoes it."""
    connections[alias].close()
    if apps.ready:
        import_module("joblot.ledger.claim.queue").forget()
        import_module("joblot.ledger.rows.claimable").note_claimable()
        import_module("joblot.ledger.rows.workers").forget()
    entry = connections.settings[alias]
    before = {name: str(entry[name]) for name in settings}
    entry.update(settings)
    for name, value in settings.items():
        os.environ[f"JOBLOT_TEST_{alias.upper()}_{name}"] = value
    return before


def migrate(alias: str) -> None:
    with using(alias):
        call_command("migrate", database=alias, verbosity=0, interactive=False)


def empty(alias: str) -> None:
    """Delete every row. Fails with a clear message if a connection still holds locks."""
    connection = connections[alias]
    import_module("joblot.ledger.rows.workers").forget()
    if connection.in_atomic_block:
        connection.close()
    models = [
        model
        for label in ("joblot", "joblot_web", "auth", "sessions")
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
        if model._meta.label not in KEPT
    ]
    tables = sorted({connection.ops.quote_name(model._meta.db_table) for model in models})
    try:
        _delete(connection, tables)
    except DatabaseError as error:
        raise AssertionError(
            f"the tables could not be emptied in {LOCK_SECONDS_MAX} s: the test left a"
            f" transaction open in a thread or a process ({error})"
        ) from error


def _delete(connection: BaseDatabaseWrapper, tables: list[str]) -> None:
    deletes = [f"DELETE FROM {table}" for table in tables]
    if connection.vendor == "postgresql":
        # The replica role fires no triggers: joblot's own would refuse this.
        deletes.insert(0, "SET LOCAL session_replication_role = replica")
        deletes.insert(0, f"SET LOCAL lock_timeout = {int(LOCK_SECONDS_MAX * 1000)}")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            for statement in deletes:
                cursor.execute(statement)
        except DatabaseError:
            cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")
