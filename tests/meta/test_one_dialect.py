"""Which database joblot has is asked in one module; everything else calls its dialect."""

from __future__ import annotations

import ast

import pytest
from django.db import connections

from joblot.ledger.db.dialect import dialect_of
from tests.meta.sources import ROOT, python_files

HOME = "src/joblot/ledger/db/dialect.py"
OTHERS = (
    "src/joblot/migrations/",
    "src/joblot/testing/",
)  # Django's to run; tools for any database


def test_only_the_dialect_asks_for_the_vendor() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files("src")
        if not str(path.relative_to(ROOT)).startswith((HOME, *OTHERS))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "vendor"
    }
    assert found == set(), f"ask {HOME}"


def test_another_database_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connections["sqlite"]
    monkeypatch.setattr(connection, "vendor", "mysql")
    with pytest.raises(NotImplementedError, match="expected PostgreSQL or SQLite"):
        dialect_of(connection)
