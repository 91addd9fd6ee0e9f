"""The database as it is found: locked, full, no database at all, or somebody else's."""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from joblot.errors import InvalidInput
from joblot.standalone import database_of
from tests.cli.conftest import Joblot


def _submit(joblot: Joblot, path: Path, given: str, **options: object):
    url = f"sqlite:////{str(path).lstrip('/')}?timeout=0.1"
    command = ["submit", "j", "--pipeline", "p", "--jsonl", "-", "--key", "k"]
    return subprocess.run(
        [sys.executable, "-m", "joblot.cli", *command],
        cwd=joblot.folder,
        env=joblot.environment | {"JOBLOT_DATABASE_URL": url},
        input=given,
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def test_a_locked_and_a_full_disk_are_one_line_and_lose_nothing(joblot: Joblot):
    path = joblot.folder / "own.sqlite3"
    joblot("migrate", "--db", str(path))
    items = ({"key": str(n), "payload": "x" * 1000} for n in range(4000))
    given = "".join(f"{json.dumps(item)}\n" for item in items)

    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = _submit(joblot, path, given)
    assert locked.returncode == 4
    (line,) = locked.stderr.splitlines()
    assert line.startswith("joblot: the database is busy")

    size = 1_000_000  # bytes that a file may have: the disk is full in the middle of a chunk

    def fill_the_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    full = _submit(joblot, path, given, preexec_fn=fill_the_disk)
    assert full.returncode == 4
    assert len(full.stderr.splitlines()) == 1

    again = _submit(joblot, path, given)
    assert "4,000 items" in again.stderr
    assert joblot.json("audit", again.stdout.strip(), "--db", str(path))["ok"]


def test_what_is_no_database_is_one_line(joblot: Joblot):
    done = joblot("jobs", "--db", joblot.write("text", "no database" * 100), expect=4)
    (line,) = done.stderr.splitlines()
    assert "file is not a database" in line


def test_the_database_of_a_project_is_used_where_there_is_one(joblot: Joblot):
    joblot.write(
        "settings_of_theirs.py",
        "from joblot.standalone import sqlite\nfrom pathlib import Path\n"
        "INSTALLED_APPS = ['joblot']\nUSE_TZ = True\n"
        "DATABASES = {'default': sqlite(Path('theirs.sqlite3'))}\n",
    )
    joblot.environment["DJANGO_SETTINGS_MODULE"] = "settings_of_theirs"
    joblot("migrate")
    assert (joblot.folder / "theirs.sqlite3").exists()
    joblot.write("names", "a\nb\n")
    joblot("run", "work:upper", "--lines", "names", "--workers", "1")
    done = joblot("jobs", expect=2, DJANGO_SETTINGS_MODULE="nowhere")
    assert "DJANGO_SETTINGS_MODULE=nowhere can't be used" in done.stderr


def test_a_url_says_all_of_a_postgresql_database():
    url = "postgresql://me:p%40ss@/db?host=/run/pg&port=5433&sslmode=require&options=-c%20x%3D1"
    entry = database_of(url)
    assert (entry["NAME"], entry["USER"], entry["PASSWORD"]) == ("db", "me", "p@ss")
    assert (entry["HOST"], entry["PORT"]) == ("/run/pg", "5433")
    assert entry["OPTIONS"]["sslmode"] == "require"
    options = entry["OPTIONS"]["options"]
    assert "-c plan_cache_mode=force_generic_plan" in options
    assert options.endswith("-c x=1"), "what the URL says comes last, and so wins"


def test_a_url_says_where_a_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert database_of("sqlite:///a%20b.db")["NAME"] == str(tmp_path / "a b.db")
    assert database_of(f"sqlite:///{tmp_path}/c.db?timeout=3")["NAME"] == f"{tmp_path}/c.db"
    assert database_of("sqlite:///c.db?timeout=3")["OPTIONS"]["timeout"] == 3


WRONG = [
    "mysql://h/db",
    "sqlite://",
    "sqlite://host/x",
    "sqlite:///:memory:",
    "sqlite:///f?x=1",
    "sqlite:///f?timeout=long",
    "postgresql://h/db?nonsense=1",
]


@pytest.mark.parametrize("url", WRONG)
def test_a_url_that_cannot_be_meant_is_refused(url: str):
    with pytest.raises(InvalidInput):
        database_of(url)
