"""Only their owner may open the files that joblot writes, whatever the umask."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import Joblot
from tests.polling import eventually
from tests.server.process import Serving

LARGE = "def large(key):\n    return key * 100_000\n"  # stored in its own file


@pytest.fixture
def joblot(make_joblot: Callable[..., Joblot]) -> Joblot:
    """Its database is made by the first command that needs it."""
    return make_joblot()


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The least strict umask: files that are private under it are private under any other."""
    before = os.umask(0o000)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def kinds(folder: Path) -> dict[str, set[int]]:
    """The modes of everything below, by kind, ignoring what is removed meanwhile."""
    found: dict[str, set[int]] = {"folders": {mode(folder)}, "files": set()}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            kind = "folders" if path.is_dir() else "files"
            found[kind].add(mode(path))
    return found


PRIVATE = {"folders": {0o700}, "files": {0o600}}


def test_a_run_leaves_nothing_to_others(joblot: Joblot) -> None:
    joblot.write("large.py", LARGE)
    joblot.write("names", "a\nb\n")
    path = joblot.folder / "new" / "deep" / "own.sqlite3"
    joblot("run", "large:large", "--lines", "names", "--workers", "1", "--db", str(path))
    assert kinds(joblot.folder / "new") == PRIVATE
    assert kinds(joblot.folder / "data") == {"folders": {0o700}, "files": set()}
    assert len(list((path.parent / "own.sqlite3-outputs").rglob("*.json"))) == 2


def test_a_server_and_its_worker_leave_nothing_to_others(joblot: Joblot) -> None:
    """While they run: then the write-ahead log, its index and the spool exist."""
    joblot.write("large.py", LARGE)
    data = joblot.folder / "data"
    with Serving(joblot) as server:
        job = {"name": "j", "pipeline": "p", "items": ["gate", "a"]}
        server.post("jobs", job, expect=201)
        joblot.start("worker", "work:gated", "--pipeline", "p", "--url", server.url)
        joblot.at_gate()
        names = {path.name for path in data.rglob("*")}
        assert {"joblot.sqlite3-wal", "joblot.sqlite3-shm", "lock", "local.header"} < names
        assert kinds(data) == PRIVATE
        joblot.open_gate()
        eventually(lambda: joblot.settled() == 2)
        assert kinds(data) == PRIVATE


def test_doctor_names_what_others_can_open_and_how_to_mend_it(joblot: Joblot) -> None:
    joblot("migrate")
    (checked,) = (one for one in joblot.json("doctor")["checks"] if one["check"] == "private")
    assert checked["ok"]
    data = joblot.folder / "data" / "joblot"
    (data / "joblot.sqlite3").chmod(0o644)
    (data / "spool").mkdir(mode=0o755)
    (data / "spool").chmod(0o755)
    done = joblot("doctor", expect=4)
    advice = f"chmod go= {data}/joblot.sqlite3 {data}/spool"
    assert advice in " ".join(done.stdout.split())
    subprocess.run(advice.split(), check=True)
    joblot("doctor")


def test_doctor_looks_at_the_files_of_a_project_too(joblot: Joblot) -> None:
    """Its SQLite file, created under the umask, and joblot's folder of outputs in its storage."""
    joblot.write(
        "theirs.py",
        "INSTALLED_APPS, USE_TZ, MEDIA_ROOT = ['joblot'], True, 'media'\n"
        "DEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'p.sqlite3',\n"
        "    'OPTIONS': {'transaction_mode': 'IMMEDIATE',\n"
        "        'init_command': 'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;'}}}\n",
    )
    joblot.environment["DJANGO_SETTINGS_MODULE"] = "theirs"
    joblot("migrate")
    outputs = joblot.folder / "media" / "joblot" / "outputs"
    outputs.mkdir(parents=True)
    done = joblot("doctor", expect=4)
    (line,) = (one for one in done.stdout.splitlines() if " private: " in one)
    assert "BAD private: others may open" in line
    assert "p.sqlite3" in line
    assert str(outputs.parent) in line
    outputs.parent.chmod(0o700)
    for path in joblot.folder.glob("p.sqlite3*"):
        path.chmod(0o600)
    done = joblot("doctor")
    assert "ok  private: only their owner may open" in done.stdout
    assert str(outputs.parent) in done.stdout


def test_outputs_beside_a_postgresql_are_private_too(joblot_on_postgres: Joblot) -> None:
    joblot = joblot_on_postgres
    joblot("migrate")
    joblot.write("large.py", LARGE)
    joblot.write("names", "a\n")
    joblot("run", "large:large", "--lines", "names", "--workers", "1")
    data = joblot.folder / "data"
    assert len(list(data.rglob("*.json"))) == 1
    assert kinds(data) == PRIVATE
