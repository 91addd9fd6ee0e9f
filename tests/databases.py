"""The two databases of the suite: which one a test uses, and how it is emptied."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module

from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

ALIASES = ("sqlite", "postgres")
LOCK_SECONDS_MAX = 30.0  # a process that was killed may take a while on a busy machine
KEPT = ("auth.Permission",)  # as the migrations made it
# Of a function, so that the deletes are planned once per connection.
MAKE_EMPTYING = """
CREATE FUNCTION pg_temp.empty(lock_ms integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', lock_ms::text, true);
    {deletes};
END $$
"""

# Not a context variable: it applies to all threads of this process.
_current = os.environ.get("JOBLOT_TEST_ALIAS", "sqlite")
# Empties PostgreSQL's tables; opened by the first test that needs it.
_emptying: BaseDatabaseWrapper | None = None


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
    end_emptying()
    if apps.ready:
        import_module("joblot.ledger.claim.queue").forget()
        import_module("joblot.ledger.rows.claimable").note_claimable()
        import_module("joblot.ledger.rows.workers").forget()
        import_module("joblot.ledger.rows.wake")._known.clear()  # its rows have the same numbers
        import_module("joblot.identity.tokens")._used_at.clear()
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
    try:
        if connection.vendor == "postgresql":
            lock_ms = int(LOCK_SECONDS_MAX * 1000)
            _run(_opened_emptying(connection), f"SELECT pg_temp.empty({lock_ms})")
        else:
            _run(connection, "BEGIN", *_deletes(), "COMMIT")
    except DatabaseError as error:
        end_emptying()
        raise AssertionError(
            f"the tables could not be emptied in {LOCK_SECONDS_MAX} s: the test left a"
            f" transaction open in a thread or a process ({error})"
        ) from error


def end_emptying() -> None:
    global _emptying  # noqa: PLW0603 (as above)
    if _emptying is not None:
        _emptying.close()
    _emptying = None


def _opened_emptying(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """A connection that fires no triggers, since joblot's own would refuse the deletes.

    It is not the test's: PostgreSQL forgets the plans of a connection whose role is changed, and
    planning the ledger's statements again costs each test more than deleting its rows.
    """
    global _emptying  # noqa: PLW0603 (as above)
    if _emptying is None:
        _emptying = connection.copy()
        _run(
            _emptying,
            "SET session_replication_role = replica",
            MAKE_EMPTYING.format(deletes="; ".join(_deletes())),
        )
    return _emptying


@cache
def _deletes() -> list[str]:
    models = [
        model
        for label in ("joblot", "joblot_web", "auth", "sessions")
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
        if model._meta.label not in KEPT
    ]
    return [f'DELETE FROM "{table}"' for table in sorted({one._meta.db_table for one in models})]


def _run(connection: BaseDatabaseWrapper, *statements: str) -> None:
    with connection.cursor() as cursor:
        try:
            for statement in statements:
                cursor.execute(statement)
        except DatabaseError:
            if statements[0] == "BEGIN":
                cursor.execute("ROLLBACK")
            raise
