"""The page for Django projects is correct: the admin, an ordinary TestCase, the system checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from joblot import checks
from tests.meta.sources import ROOT

PROJECT = ROOT / "tests/docs/project.py"


@pytest.mark.parametrize("what", ["check", "test"])
def test_a_project_with_the_admin_and_a_testcase(tmp_path: Path, what: str) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT), what, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _found(
    alias: str, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> list[str | None]:
    monkeypatch.setitem(connections[alias].settings_dict, "OPTIONS", options)
    return [one.id for one in checks.check_database(None, databases=[alias])]


def test_sqlite_must_begin_immediate(sqlite_only: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _found(sqlite_only, monkeypatch, {}) == ["joblot.E003"]
    assert _found(sqlite_only, monkeypatch, {"transaction_mode": "IMMEDIATE"}) == []


def test_postgresql_must_read_committed(
    postgres_only: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _found(postgres_only, monkeypatch, {"isolation_level": 4}) == ["joblot.E005"]
    assert _found(postgres_only, monkeypatch, {}) == ["joblot.W001"]
    assert _found(postgres_only, monkeypatch, {"server_side_binding": True}) == []


def test_an_unknown_setting_is_reported(settings: Any) -> None:
    settings.JOBLOT = {"CLAIM_ITEM_MAX": 5}
    (found,) = checks.check_settings(None)
    assert found.id == "joblot.E001"
    assert "CLAIM_ITEM_MAX".lower() in found.msg
