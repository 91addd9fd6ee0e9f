"""Open the database that a command uses."""

from __future__ import annotations

import os
from pathlib import Path

from django.apps import apps
from django.db import connections
from django.db.utils import DatabaseError

from joblot.cli import verbs
from joblot.errors import InvalidInput, NotMigrated, Unavailable
from joblot.standalone import is_embedded, is_standalone, setup


def choose_database(db: Path | None, *, served: bool = False) -> None:
    """Set up Django for the chosen database; opens no connection yet.

    `db` is an SQLite file, and excludes a project; `served` is for a server. Raises InvalidInput,
    Unavailable.
    """
    if db is not None and os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise InvalidInput(
            "--db: DJANGO_SETTINGS_MODULE names a project and thus its database; leave one out"
        )
    setup(path=db, served=served)


def open_database(db: Path | None) -> None:
    """For reading and changing. Creates no database, so that a mistyped path is an error."""
    choose_database(db)
    if is_embedded() and not sqlite_file().exists():
        raise Unavailable(
            f"there is no database at {sqlite_file()}; `joblot run` and `joblot submit` create one"
        )


def make_database(db: Path | None) -> None:
    """For submitting. Creates and migrates joblot's own file; others must be migrated already.

    Raises NotMigrated if they are not: there, an operator decides when to run `joblot migrate`.
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
    """For serving. Creates the tables if there are none, in any database.

    Raises NotMigrated if there are older ones: then an operator decides when to migrate.
    """
    choose_database(db, served=True)
    names = pending()
    if names and (is_embedded() or names[0].startswith("0001")):
        migrate()
    elif names and _pending_for_good():
        raise NotMigrated("joblot's tables are of an older version; run `joblot migrate`")


def _pending_for_good() -> bool:
    """False if another server was just creating the tables."""
    with verbs.migration_lock():
        return bool(pending())


def migrate() -> list[str]:
    """Apply the pending migrations; returns their names."""
    names = pending()
    with verbs.migration_lock():
        _apply()
    return names


def _apply() -> None:
    from django.core.management import call_command  # noqa: PLC0415 (slow to load)

    for label in _labels():
        call_command("migrate", label, database=verbs.alias(), verbosity=0, interactive=False)


def _labels() -> list[str]:
    """The apps whose tables joblot needs: its own, and those of the pages if they are installed.

    A project's users and sessions are migrated by the project, unless the pages refer to them.
    """
    labels = ["joblot", "joblot_web", *(["auth", "sessions"] if is_standalone() else [])]
    return [label for label in labels if label in apps.app_configs]


def pending() -> list[str]:
    """The names of joblot's migrations that are not applied yet. Raises Unavailable."""
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415 (slow to load)

    try:
        executor = MigrationExecutor(connections[verbs.alias()])
        leaves = [leaf for label in _labels() for leaf in executor.loader.graph.leaf_nodes(label)]
        plan = executor.migration_plan(leaves)
    except DatabaseError as error:
        raise Unavailable(f"the database does not answer: {error}") from error
    return [migration.name for migration, _ in plan]


def sqlite_file() -> Path:
    """The file with joblot's tables; only on SQLite."""
    return Path(connections[verbs.alias()].settings_dict["NAME"])


def describe() -> str:
    """A short description of the database, without its password."""
    return verbs.location()
