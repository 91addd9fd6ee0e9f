"""Unusable databases: locked, full, not a database, or another program's."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from joblot.errors import InvalidInput
from joblot.standalone import database_of
from tests.cli.conftest import Joblot
from tests.server.process import Serving


@pytest.fixture
def joblot(make_joblot: Callable[..., Joblot]) -> Joblot:
    """Its database is made by the first command that needs it."""
    return make_joblot()


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

    size = 1_000_000  # maximum file size in bytes: the disk fills up in the middle of a chunk

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


def test_a_folder_is_no_database(joblot: Joblot):
    done = joblot("jobs", "--db", str(joblot.folder), expect=2)
    assert done.stderr == f"joblot: {joblot.folder} is a folder, expected an SQLite file\n"


def test_a_url_without_a_scheme_is_told_so(joblot: Joblot):
    done = joblot("jobs", expect=2, JOBLOT_DATABASE_URL="user:secret@nonsense")
    assert "got text without a scheme" in done.stderr
    assert "secret" not in done.stderr


def schema(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as opened:
        rows = opened.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL").fetchall()
    return {sql for (sql,) in rows}


def test_other_tests_start_with_what_a_command_makes(joblot: Joblot, migrated_file: Path):
    """Their copy has the tables of a server as well."""
    joblot("migrate")
    made = schema(joblot.folder / "data" / "joblot" / "joblot.sqlite3")
    assert len(made) > 50
    assert made <= schema(migrated_file)


def test_a_database_without_tables_is_to_be_migrated(joblot: Joblot):
    """Without the advice to check whether it runs, and without naming an unknown job."""
    (joblot.folder / "empty.sqlite3").touch()
    done = joblot("doctor", "--db", "empty.sqlite3", expect=4)
    assert "BAD migrations: missing: 0001" in done.stdout
    assert "run `joblot migrate`" in done.stdout
    assert "make sure that it runs" not in done.stdout
    code = (
        "from joblot import standalone\n"
        "standalone.setup(path='empty.sqlite3')\n"
        "from joblot import submit\n"
        "submit('n', ['a'], pipeline='p')\n"
    )
    asked = [sys.executable, "-c", code]
    failed = subprocess.run(
        asked,
        cwd=joblot.folder,
        env=joblot.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    last = failed.stderr.splitlines()[-1]
    assert "NotMigrated" in last
    assert "whether a job was made" not in last


def test_the_database_of_a_project_is_used_where_there_is_one(joblot: Joblot):
    joblot.write(
        "settings_of_theirs.py",
        "from joblot.database_url import sqlite\nfrom pathlib import Path\n"
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


PROJECT = (
    "from pathlib import Path\n"
    "from joblot.database_url import sqlite\n"
    "INSTALLED_APPS = ['joblot', 'shop']\n"
    "ROOT_URLCONF, USE_TZ, SECRET_KEY, ALLOWED_HOSTS = 'joblot.api.urls', True, 's', ['*']\n"
    "DATABASES = {'default': sqlite(Path(__file__).parent / 'shop.sqlite3')}\n"
)


@pytest.fixture
def shop(joblot: Joblot) -> Joblot:
    """In a project's folder that has a file named like each of Python's modules."""
    (joblot.folder / "shop").mkdir()
    joblot.write("shop/__init__.py", "")
    joblot.write("shop/settings.py", PROJECT)
    for name in sys.stdlib_module_names:
        joblot.write(f"{name}.py", "raise ImportError('of the project, and not of Python')\n")
    joblot.environment["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    return joblot


def test_every_command_finds_the_project_in_whose_folder_it_stands(shop: Joblot):
    shop("migrate")
    assert (shop.folder / "shop" / "shop.sqlite3").exists()
    assert shop.json("doctor")["ok"]
    shop("submit", "one", "--pipeline", "p", "--lines", shop.write("names", "a\nb\n"))
    shop("sweep")
    assert [job["total"] for job in shop.json("jobs")] == [2]
    shop("token", "create", "x", "--scope", "admin")
    assert shop.json("audit", "1")["ok"]
    assert not (shop.folder / "data").exists(), "another database than the project's was used"


def test_a_server_finds_the_project_in_whose_folder_it_stands(shop: Joblot):
    shop("migrate")
    with Serving(shop) as server:
        job = server.post("jobs", {"name": "n", "pipeline": "p", "items": ["a"]}, expect=201)
        assert [one["id"] for one in shop.json("jobs")] == [job["id"]]
    refused = shop("serve", "--port", "0", "--db", "own.sqlite3", expect=2)
    assert "leave one out" in refused.stderr


def test_a_relative_path_means_the_same_file_wherever_a_worker_runs(joblot: Joblot):
    """A run is resumed from another folder than the one it was started in."""
    inner = joblot.folder / "A"
    inner.mkdir()
    shutil.copy(joblot.folder / "work.py", inner)
    names = ["gate", *(f"n{n}" for n in range(20))]
    (inner / "names").write_text("\n".join(names))
    begun = Joblot(inner, joblot.environment)
    options = ["--lines", "names", "--workers", "1", "--db", "j.sqlite3"]
    run = begun.start("run", "work:gated", *options)
    begun.at_gate()
    run.send_signal(signal.SIGINT)
    begun.orders_ended()
    begun.open_gate()
    assert run.wait(60) == 128 + signal.SIGINT
    run.communicate()
    resumed = ["run", "--resume", "1", "--workers", "1"]
    source = (
        ["--lines", "A/names"]
        if not joblot.json("show", "1", "--db", "A/j.sqlite3")["sealed"]
        else []
    )
    joblot(*resumed, *source, "--db", "A/j.sqlite3")
    for url in ("sqlite:///A/j.sqlite3", f"sqlite:///{inner}/j.sqlite3"):
        joblot("show", "1", JOBLOT_DATABASE_URL=url)
        joblot("retry", "1", JOBLOT_DATABASE_URL=url, expect=3)
    assert sorted(path.name for path in joblot.folder.rglob("*.sqlite3")) == ["j.sqlite3"]
    assert sorted(begun.lines("calls")) == sorted(names)


@pytest.mark.parametrize(
    "where",
    [
        {"JOBLOT_DATABASE_URL": "sqlite:///A/j.sqlite3"},
        {"XDG_DATA_HOME": "A"},
    ],
    ids=["url", "data"],
)
def test_a_place_of_the_environment_means_the_same_wherever_a_worker_runs(
    joblot: Joblot, where: dict[str, str]
):
    """The workers of a run work in the folder where it was started."""
    (joblot.folder / "A").mkdir()
    joblot.write("names", "a\nbad\n")
    begun = Joblot(joblot.folder, joblot.environment | where)
    begun("run", "work:picky", "--lines", "names", "--workers", "1", expect=1)
    elsewhere = {name: value.replace("A", "../A", 1) for name, value in where.items()}
    (joblot.folder / "B").mkdir()
    other = Joblot(joblot.folder / "B", joblot.environment | elsewhere)
    other("retry", "1")
    other("run", "--resume", "1", "--workers", "1", expect=1)
    assert len(list(joblot.folder.rglob("*.sqlite3"))) == 1
    assert joblot.lines("calls") == ["a", "bad", "bad"]


NOBODY = """
import pwd, sys
def none(uid): raise KeyError(uid)
pwd.getpwuid = none  # as in a container with a number for a user
from joblot.cli import main
main()
"""


def as_nobody(joblot: Joblot, *args: str) -> subprocess.CompletedProcess[str]:
    missing = ("HOME", "XDG_DATA_HOME")
    return subprocess.run(
        [sys.executable, "-c", NOBODY, *args],
        cwd=joblot.folder,
        env={name: value for name, value in joblot.environment.items() if name not in missing},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        ["jobs"],
        ["doctor"],
        ["migrate"],
        ["serve", "--port", "0"],
        ["run", "work:upper", "work.py"],
        ["jobs", "--db", "~/j.sqlite3"],
    ],
    ids=" ".join,
)
def test_a_user_without_a_home_is_asked_to_name_a_file(joblot: Joblot, command: list[str]):
    done = as_nobody(joblot, *command)
    assert done.returncode == 4, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("joblot: ")
    assert "--db" in line


def test_a_user_without_a_home_can_name_a_file(joblot: Joblot):
    command = ["run", "work:upper", "work.py", "--workers", "1"]
    done = as_nobody(joblot, *command, "--db", "own.sqlite3")
    assert done.returncode == 0, done.stderr
    worker = as_nobody(joblot, "worker", "work:upper", "--pipeline", "p", "--url", "http://h:1")
    assert (worker.returncode, len(worker.stderr.splitlines())) == (4, 1)
    assert "--spool" in worker.stderr


def test_a_url_says_all_of_a_postgresql_database():
    url = "postgresql://me:p%40ss@/db?host=/run/pg&port=5433&sslmode=require&options=-c%20x%3D1"
    entry = database_of(url)
    assert (entry["NAME"], entry["USER"], entry["PASSWORD"]) == ("db", "me", "p@ss")
    assert (entry["HOST"], entry["PORT"]) == ("/run/pg", "5433")
    assert entry["OPTIONS"]["sslmode"] == "require"
    options = entry["OPTIONS"]["options"]
    assert "-c plan_cache_mode=force_generic_plan -c jit=off" in options
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
