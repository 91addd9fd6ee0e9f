"""Opening the database that a command is to use."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError

from joblot.cli import verbs
from joblot.errors import InvalidInput, NotMigrated, Unavailable
from joblot.standalone import is_embedded, setup


def choose_database(db: Path | None, *, served: bool = False) -> None:
    """Set Django up on the database that is meant; nothing is opened yet.

    `db` is an SQLite file, and not for a project; `served` is for a server. Raises InvalidInput,
    Unavailable.
    """
    if db is not None and os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise InvalidInput(
            "--db: DJANGO_SETTINGS_MODULE names a project, whose database is used; leave one out"
        )
    setup(path=db, served=served)


def open_database(db: Path | None) -> None:
    """For reading and changing: makes no database, so that a mistyped path is told."""
    choose_database(db)
    if is_embedded() and not sqlite_file().exists():
        raise Unavailable(
            f"there is no database at {sqlite_file()}; `joblot run` and `joblot submit` make one"
        )


def make_database(db: Path | None) -> None:
    """For submitting: makes and migrates a file of joblot's own; others have to be migrated.

    Raises NotMigrated where `joblot migrate` is somebody's decision to take.
    """
    choose_database(db)
    if not pending():
        return
    if not is_embedded():
        raise NotMigrated(
            "joblot's tables are missing or of an older version; run `joblot migrate`"
        )
    migrate()


def make_served_database(db: Path | None) -> None:
    """For serving: makes the tables where there are none at all, whatever the database.

    Raises NotMigrated where there are some, and `joblot migrate` is somebody's decision to take.
    """
    choose_database(db, served=True)
    names = pending()
    if names and (is_embedded() or names[0].startswith("0001")):
        migrate()
    elif names and _pending_for_good():
        raise NotMigrated("joblot's tables are of an older version; run `joblot migrate`")


def _pending_for_good() -> bool:
    """False if another server was in the midst of making the tables."""
    with verbs.migration_lock():
        return bool(pending())


def migrate() -> list[str]:
    """Apply what is pending; returns the names of what was applied."""
    names = pending()
    with verbs.migration_lock():
        _apply()
    return names


def _apply() -> None:
    call_command("migrate", "joblot", database=verbs.alias(), verbosity=0, interactive=False)


def pending() -> list[str]:
    """The migrations of joblot that the database does not have. Raises Unavailable."""
    try:
        executor = MigrationExecutor(connections[verbs.alias()])
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes("joblot"))
    except DatabaseError as error:
        raise Unavailable(f"the database does not answer: {error}") from error
    return [migration.name for migration, _ in plan]


def sqlite_file() -> Path:
    """The file of joblot's tables; only on SQLite."""
    return Path(connections[verbs.alias()].settings_dict["NAME"])


def describe() -> str:
    """The database in a few words, without its password."""
    return verbs.location()
