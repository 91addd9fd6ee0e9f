"""The locations of joblot's files. Imports no Django.

A relative path is made absolute once, where it enters: processes that joblot starts may have
another working folder.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from joblot.errors import Unavailable

DATABASE_URL = "JOBLOT_DATABASE_URL"
PATHS = ("XDG_DATA_HOME", "JOBLOT_TOKEN_FILE")


def data_folder() -> Path:
    """The user's data folder for joblot, by the XDG rules. Raises Unavailable without a home."""
    return absolute(Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share")) / "joblot"


def absolute(path: Path) -> Path:
    """The absolute path, with `~` expanded; keeps links. Raises Unavailable without a home."""
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise Unavailable(
            f"{path}: this user has no home folder (HOME is not set); name a place with --db (a "
            "worker's with --spool), or set XDG_DATA_HOME to a folder for joblot's data"
        ) from error


def absolute_url(url: str) -> str:
    """The URL of a database; a relative path of an SQLite file is made absolute."""
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if parts.scheme != "sqlite" or parts.netloc or not path or path == ":memory:":
        return url
    return sqlite_url(Path(path)) + (f"?{parts.query}" if parts.query else "")


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file, for JOBLOT_DATABASE_URL."""
    return f"sqlite:///{quote(str(absolute(path)))}"


def make_environment_absolute() -> None:
    """For entry points: child processes then find the same places from any folder."""
    for name in PATHS:
        if given := os.environ.get(name):
            os.environ[name] = str(Path(given).absolute())
    if url := os.environ.get(DATABASE_URL):
        with suppress(Unavailable):  # reported by the command that needs it
            os.environ[DATABASE_URL] = absolute_url(url)
