"""The next release of joblot, and the one after it: copies of this one with newer migrations.

The next one *expands*: it adds a nullable column to the leases, and new versions of the functions
that claim, which fill it. Its code writes and needs both. The one after it *contracts*: it drops
the old functions, and the column is required.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import joblot

HERE = Path(joblot.__file__).parent
CLAIMING = ("claim/claim_1", "claim/report_and_claim_1", "claim/claim_together_1")
OLD_NAME = re.compile(r"\b((?:joblot_)?(?:report_and_claim|claim_together|claim))_1\b")
FIELD = "    owner = models.BigIntegerField(null=True)  # the caller that claimed it"
COLUMNS = "            idempotency_key, asked, claimed_at, expires_at\n        )"
VALUES = "            owner, key, asked, granted_at, expires_at\n        )"
MARK = "next"  # in the column of each lease that the next release has granted

EXPAND = """
from django.db import migrations, models
from joblot.ledger.db import functions

CLAIMING = {claiming!r}


def create(apps, schema_editor):
    for name in CLAIMING:
        for statement in functions.creation(name):
            schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("joblot", "0003_functions")]
    operations = [
        migrations.AddField("lease", "release", models.CharField(max_length=20, null=True)),
        migrations.RunPython(create),
    ]
"""
CONTRACT = """
from django.db import migrations, models
from joblot.ledger.db import functions

CLAIMING = {claiming!r}


def drop(apps, schema_editor):
    for name in CLAIMING:
        schema_editor.execute(functions.removal(name), params=None)


class Migration(migrations.Migration):
    atomic = False  # it must not hold the leases it has filled while it waits for the table
    dependencies = [("joblot", "0004_expand")]
    operations = [
        migrations.RunPython(drop),
        migrations.RunSQL("UPDATE joblot_lease SET release = 'before' WHERE release IS NULL"),
        migrations.AlterField("lease", "release", models.CharField(max_length=20)),
    ]
"""


class NextRelease:
    """A copy of the package in `folder`, which is to be in PYTHONPATH of those that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._package = folder / "joblot"
        shutil.copytree(HERE, self._package, ignore=shutil.ignore_patterns("__pycache__"))
        for name in CLAIMING:
            file = self._function(name)
            self._function(_renamed(name)).write_text(_renamed(file.read_text()))
        old = {self._function(name) for name in CLAIMING}
        for file in self._package.rglob("*"):
            if (
                file.suffix in (".py", ".sql")
                and file not in old
                and "migrations" not in file.parts
            ):
                text = file.read_text()
                if (renamed := _renamed(text)) != text:
                    file.write_text(renamed)
        self._add_column()
        self._migration("0004_expand", EXPAND.format(claiming=tuple(map(_renamed, CLAIMING))))

    def contract(self) -> None:
        """From now on this is the release after the next."""
        self._migration("0005_contract", CONTRACT.format(claiming=CLAIMING[::-1]))

    def _add_column(self) -> None:
        _replace(
            self._package / "models" / "queue.py",
            FIELD,
            f"    release = models.CharField(max_length=20, null=True)\n{FIELD}",
        )
        claim = self._function(_renamed("claim/claim_1"))
        _replace(claim, COLUMNS, COLUMNS.replace("expires_at", "expires_at, release"))
        _replace(claim, VALUES, VALUES.replace("expires_at", f"expires_at, '{MARK}'"))

    def _function(self, name: str) -> Path:
        return self._package / "ledger" / f"{name}.function.postgresql.sql"

    def _migration(self, name: str, text: str) -> None:
        (self._package / "migrations" / f"{name}.py").write_text(text)


def _renamed(text: str) -> str:
    return OLD_NAME.sub(r"\1_2", text)


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file.name} has changed: adapt this module"
    file.write_text(text.replace(old, new))
