"""A database for the length of a block: temporary (SQLite or PostgreSQL) or existing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from joblot import places, standalone
from joblot.testing.postgres import PostgresServer

_CONNECTIONS_MAX = 50


@contextmanager
def opened(where: str, *, durable: bool = True) -> Iterator[str]:
    """Yield the database's URL, valid inside the block.

    `where` is "sqlite" or "postgres" (both temporary; `durable`: the server's commits wait for the
    disk), the path of an SQLite file, or a URL. Raises Unavailable if no PostgreSQL can be started.
    """
    if where == "postgres":
        with PostgresServer(durable=durable, max_connections=_CONNECTIONS_MAX) as server:
            yield server.create_database("joblot")
    elif where == "sqlite":
        with TemporaryDirectory(prefix="joblot-") as folder:
            yield places.sqlite_url(Path(folder) / "joblot.sqlite3")
    else:
        yield places.absolute_url(where) if "://" in where else places.sqlite_url(Path(where))


@contextmanager
def database(where: str | None) -> Iterator[None]:
    """Inside the block, joblot uses this database, migrated; None leaves the configured one.

    Sets up Django if needed. A temporary database does not wait for the disk. Raises InvalidInput
    for an invalid URL, Unavailable if there is no PostgreSQL.
    """
    if where is None and settings.configured:
        yield
        return
    with opened(where or "sqlite", durable=False) as url:
        standalone.setup(url)
        alias = _alias()
        before = _point(alias, _entry(url, durable=where not in (None, "sqlite", "postgres")))
        try:
            call_command("migrate", "joblot", database=alias, verbosity=0, interactive=False)
            yield
        finally:
            connections[alias].close()
            _point(alias, before)


def _alias() -> str:
    from joblot.ledger.db.transactions import alias  # noqa: PLC0415 (once Django is set up)

    return alias()


def _entry(url: str, *, durable: bool) -> dict[str, Any]:
    entry = standalone.database_of(url)
    if not durable and "init_command" in entry["OPTIONS"]:
        entry["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    complete: dict[str, Any] = connections.configure_settings({"default": entry})
    return dict(complete["default"])


def _point(alias: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Point `alias` at this database in this thread; return the previous entry."""
    connections[alias].close()
    before: dict[str, Any] = connections.settings[alias]
    connections.settings[alias] = entry
    del connections[alias]  # the next use creates a connection of the right class
    return before
