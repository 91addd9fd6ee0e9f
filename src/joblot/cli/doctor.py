"""The checks of `joblot doctor`: the database, its disk, and the permissions of the files."""

from __future__ import annotations

import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage
from django.db import connections

from joblot import private
from joblot.cli import verbs
from joblot.cli.database import describe, pending, sqlite_file
from joblot.errors import NotMigrated, Unavailable
from joblot.places import data_folder
from joblot.standalone import is_embedded, is_standalone

Check = dict[str, Any]

FREE_BYTES_MIN = 1_000_000_000


def examine() -> list[Check]:
    """Checks as `{"check", "ok", "found", "advice"}`; after a failure, those still possible."""
    where = describe()
    try:
        waiting = pending()
        health = verbs.health()
    except NotMigrated:
        return [_check("database", True, where), _migrations(waiting), *_disk(), _private()]
    except Unavailable as error:
        advice = "make sure that it runs, and that JOBLOT_DATABASE_URL or --db names it"
        return [_check("database", False, f"{where}: {error}", advice), *_disk(), _private()]
    finally:
        connections[verbs.alias()].close()
    return [_check("database", True, where), _migrations(waiting), *health, *_disk(), _private()]


def _check(name: str, ok: bool, found: str, advice: str = "") -> Check:
    return {"check": name, "ok": ok, "found": found, "advice": "" if ok else advice}


def _migrations(waiting: list[str]) -> Check:
    found = f"missing: {', '.join(waiting)}" if waiting else "all applied"
    return _check("migrations", not waiting, found, "run `joblot migrate`")


def _disk() -> list[Check]:
    if not is_embedded():
        return []
    free = shutil.disk_usage(sqlite_file().parent).free
    advice = "free some space: a full disk loses nothing, but nothing can be recorded either"
    return [_check("disk", free >= FREE_BYTES_MIN, f"{free / 1e9:,.1f} GB free", advice)]


def _private() -> Check:
    """joblot creates files for their owner only; an older file, or a copy, may be more open."""
    there = [path for path in _files() if path.exists()]
    wide = [str(path) for path in there if private.is_wide(path)]
    found = (
        f"others may open {', '.join(wide)}"
        if wide
        else f"only their owner may open {', '.join(map(str, there)) or 'the files, once made'}"
    )
    return _check("private", not wide, found, f"chmod go= {shlex.join(wide)}")


def _files() -> list[Path]:
    """Files that may exist: of an embedded database, in the storage of outputs, in the data folder.

    Of a storage, only the folder of joblot's outputs: a web server may have to read the others.
    """
    found = set(verbs.database_files())
    if isinstance(storage := verbs.storage(), FileSystemStorage):
        root = Path(storage.location)
        found.add(root if is_standalone() else root / "joblot")
    with suppress(Unavailable, OSError):  # there may be no data folder
        found |= {data_folder(), *data_folder().iterdir()}
    return sorted(found)
