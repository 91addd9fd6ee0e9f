"""Opening the database that a command is to use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError

from joblot.cli.lock import file_lock
from joblot.errors import InvalidInput, NotMigrated, Unavailable
from joblot.standalone import is_embedded, setup


def open_database(db: Path | None = None, *, make: bool = False) -> None:
    """Set Django up on the database that is meant; `--db` is a file, and not for a project.

    With `make` an SQLite file of joblot's own is created and migrated as needed; any other
    database has to be migrated. Raises InvalidInput, Unavailable, NotMigrated.
    """
    if db is not None and os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise InvalidInput(
            "--db: DJANGO_SETTINGS_MODULE names a project, whose database is used; leave one out"
        )
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a project's settings, as manage.py finds them
    setup(path=db)
    if make:
        _require_migrated()
    else:
        _require_file()


def migrate() -> list[str]:
    """Apply what is pending; returns the names of what was applied."""
    names = pending()
    if is_embedded():
        with file_lock(Path(f"{_file()}-migrate.lock")):
            call_command("migrate", "joblot", verbosity=0, interactive=False)
    else:
        call_command("migrate", "joblot", verbosity=0, interactive=False)
    return names


def pending() -> list[str]:
    """The migrations of joblot that the database does not have. Raises Unavailable."""
    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes("joblot"))
    except DatabaseError as error:
        raise Unavailable(f"the database does not answer: {error}") from error
    return [migration.name for migration, _ in plan]


def _require_migrated() -> None:
    if not pending():
        return
    if not is_embedded():
        raise NotMigrated(
            "joblot's tables are missing or of an older version; run `joblot migrate`"
        )
    migrate()


def _require_file() -> None:
    """Reading makes no database: a mistyped path is told."""
    if is_embedded() and not _file().exists():
        raise Unavailable(
            f"there is no database at {_file()}; `joblot run` and `joblot submit` make one"
        )


def _file() -> Path:
    return Path(connections[DEFAULT_DB_ALIAS].settings_dict["NAME"])
