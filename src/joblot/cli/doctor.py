"""What `joblot doctor` looks at: the database, and the disk it is on."""

from __future__ import annotations

import shutil
from typing import Any

from django.db import connections

from joblot.cli import verbs
from joblot.cli.database import describe, pending, sqlite_file
from joblot.errors import Unavailable
from joblot.standalone import is_embedded

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
        return [_check("database", False, f"{where}: {error}", advice), *_disk()]
    finally:
        connections[verbs.alias()].close()
    return [_check("database", True, where), _migrations(waiting), *health, *_disk()]


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
