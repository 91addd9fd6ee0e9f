"""Links that let this machine's user into the pages, each of them once. Imports no Django.

A link's secret is known only to the one who made it: the server finds a file, in a folder that only
its own user can enter, named by the secret's hash. Removing the file is what uses the link, so that
of several processes one accepts it.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from pathlib import Path

from joblot import private
from joblot.errors import Unavailable

ENTRY_SECONDS_MAX = 3_600.0  # after which an unused link is refused
FOLDER = "entries"


def make_entry(token_file: Path) -> str:
    """The secret of a new link to servers that accept this local token.

    Raises Unavailable if no file can be kept for it.
    """
    folder = token_file.parent / FOLDER
    try:
        private.require_folder(private.make_folder(folder))
        _remove_old(folder)
        secret = secrets.token_urlsafe(32)
        private.make_file(folder / _name(secret))
    except OSError as error:
        raise Unavailable(f"no link can be kept in {folder}: {error.strerror}") from error
    return secret


def take_entry(token_file: Path, secret: str) -> bool:
    """Use a link: True once. Raises Unavailable if others could have put a file there."""
    path = token_file.parent / FOLDER / _name(secret)
    try:
        private.require_folder(path.parent)
        age = time.time() - path.stat().st_mtime
        path.unlink()
    except FileNotFoundError:
        return False
    return age < ENTRY_SECONDS_MAX


def _name(secret: str) -> str:
    """A hash, so that neither the folder's listing nor the time of a search reveals the secret."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _remove_old(folder: Path) -> None:
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime >= ENTRY_SECONDS_MAX:
            path.unlink(missing_ok=True)
