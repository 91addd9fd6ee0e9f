"""The installation: `migrate`, `doctor`."""

from __future__ import annotations

import typer

from joblot.cli import text
from joblot.cli.database import choose_database, describe, open_database
from joblot.cli.database import migrate as apply_migrations
from joblot.cli.doctor import examine
from joblot.cli.exits import DONE, UNAVAILABLE
from joblot.cli.options import AsJson, Db
from joblot.cli.printable import say_json


def migrate(*, db: Db = None) -> None:
    """Create or update joblot's tables, also those of the pages."""
    choose_database(db, served=True)
    applied = apply_migrations()
    done = f"applied {', '.join(applied)}" if applied else "nothing to do"
    text.out().print(f"{describe()}: {done}", soft_wrap=True)


def doctor(*, as_json: AsJson = False, db: Db = None) -> None:
    """Check the database and the disk; exit code 4 if something is wrong."""
    open_database(db)
    checks = examine()
    ok = all(check["ok"] for check in checks)
    if as_json:
        say_json({"ok": ok, "checks": checks})
    else:
        text.examination(checks)
    raise typer.Exit(DONE if ok else UNAVAILABLE)
