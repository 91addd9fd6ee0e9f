"""Functions that a test declares with `@work`, and a project with real processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from joblot.worker import handlers
from tests.ledger.conftest import exact
from tests.polling import eventually

__all__ = ["exact"]

SETTINGS = """
SECRET_KEY = "only for tests"
DEBUG = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["joblot", "shop"]
DATABASES = {
    "default": {
        "ENGINE": "joblot.sqlite3",
        "NAME": "project.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
"""
MANAGE = """
import os

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "config"
execute_from_command_line()
"""
WORK = """
import os
import time
from pathlib import Path

from joblot.worker import work


@work("shrink")
def shrink(key):
    Path(f"at-{key}").write_text(str(os.getpid()))
    while key.startswith("slow") and not Path(f"open-{key}").exists():
        time.sleep(0.01)
    return "first"
"""


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test declares is all that is declared, and forgotten after it."""
    monkeypatch.setattr(handlers, "_declared", [])


@dataclass
class Project:
    """A Django project in a folder; its database is an SQLite file."""

    folder: Path
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def manage(self, *args: str) -> None:
        self.ended(self.start(*args))

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DJANGO_")}
        with (self.folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *args],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def ended(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it has ended, without an error."""
        assert process.wait(60) == 0, self.output()

    def output(self) -> str:
        """Of the process that was started last."""
        return (self.folder / "output").read_text()

    def submit(self, *keys: str) -> None:
        code = (
            "from joblot import standalone; standalone.setup(path='project.sqlite3')\n"
            f"from joblot import submit; submit('photos', {list(keys)}, pipeline='shrink')"
        )
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DJANGO_")}
        subprocess.run([sys.executable, "-c", code], cwd=self.folder, env=environment, check=True)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "project.sqlite3")) as database:
            return database.execute(statement).fetchall()

    def outputs(self) -> list[Any]:
        return [one for (one,) in self.ask("SELECT output FROM joblot_outcome ORDER BY number")]

    def has(self, name: str) -> str:
        """The content of the file, once it has one."""
        path = self.folder / name
        return eventually(lambda: path.read_text() if path.exists() else "")

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A migrated project with one app, `shop`, whose function waits for keys that begin "slow"."""
    (tmp_path / "shop").mkdir()
    for name, text in {
        "config.py": SETTINGS,
        "manage.py": MANAGE,
        "shop/__init__.py": "",
        "shop/work.py": WORK,
    }.items():
        (tmp_path / name).write_text(text)
    project = Project(tmp_path)
    project.manage("migrate", "--verbosity=0")
    yield project
    project.end()
