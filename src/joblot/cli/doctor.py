"""What `joblot doctor` looks at: the database, the disk it is on, and who may read the files."""

from __future__ import annotations

import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections

from joblot import private
from joblot.cli import verbs
from joblot.cli.database import describe, pending, sqlite_file
from joblot.errors import Unavailable
from joblot.places import data_folder
from joblot.standalone import is_embedded, outputs_folder

Check = dict[str, Any]

FREE_BYTES_MIN = 1_000_000_000


def examine() -> list[Check]:
    """Checks as `{"check", "ok", "found", "advice"}`; what can't be known any more is left out."""
    where = describe()
    try:
        waiting = pending()
        health = verbs.health()
    except Unavailable as error:
        advice = "see that it runs, and that JOBLOT_DATABASE_URL or --db names it"
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
    advice = "make room: a full disk loses nothing, but nothing can be recorded either"
    return [_check("disk", free >= FREE_BYTES_MIN, f"{free / 1e9:,.1f} GB free", advice)]


def _private() -> Check:
    """joblot makes its files for their owner alone; a file of before, or a copy, may be wider."""
    wide = [str(path) for path in _files() if private.is_wide(path)]
    found = (
        f"others may open {', '.join(wide)}"
        if wide
        else "others may open none of joblot's own files"
    )
    return _check("private", not wide, found, f"chmod go= {shlex.join(wide)}")


def _files() -> list[Path]:
    """What there may be: beside an SQLite file of joblot's own, and in the data folder."""
    found: set[Path] = set()
    if is_embedded():
        file = sqlite_file()
        found |= {Path(f"{file}{end}") for end in ("", "-wal", "-shm", "-migrate.lock")}
        found.add(outputs_folder(settings.DATABASES["default"]))
    with suppress(Unavailable, OSError):  # without a data folder there is nothing in it
        found |= {data_folder(), *data_folder().iterdir()}
    return sorted(found)
