"""Where the demo keeps its job: a temporary SQLite file or PostgreSQL server, or what you name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from joblot.testing.postgres import PostgresServer

APPS = ("joblot.demo",)


@contextmanager
def opened(where: str) -> Iterator[str]:
    """The database's URL, which holds inside the block.

    `where` is "sqlite" or "postgres" (both temporary, both with commits that wait for the disk),
    the path of an SQLite file, or a URL. Raises Unavailable if no PostgreSQL can be started.
    """
    if where == "postgres":
        with PostgresServer(max_connections=50) as server:
            yield server.create_database("demo")
    elif where == "sqlite":
        with TemporaryDirectory(prefix="joblot-demo-") as folder:
            yield _sqlite_url(Path(folder) / "demo.sqlite3")
    else:
        yield where if "://" in where else _sqlite_url(Path(where))


def _sqlite_url(path: Path) -> str:
    return f"sqlite:///{quote(str(path.expanduser().absolute()))}"
