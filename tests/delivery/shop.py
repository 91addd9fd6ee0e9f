"""A Django project with event handlers, written to a folder, in which joblot's commands run.

The handlers note each call in a file. `hanging` never returns for a job whose name begins with
"hang", until the file `mended` exists; for one with "slow" it returns then. It writes its row and
its process id before that. `shop.storage.Hanging` never returns when it is to remove a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.proc import children, command

ROOT = Path(__file__).parents[2]
SETTINGS = """
import json
import os

from tests.settings import *

INSTALLED_APPS = ["joblot", "shop"]
ROOT_URLCONF = "joblot.api.urls"
JOBLOT = json.loads(os.environ["SHOP_LIMITS"])
JOBLOT_LOCAL = True
MEDIA_ROOT = os.environ["SHOP_MEDIA"]
STORAGES = {"default": {"BACKEND": os.environ["SHOP_STORAGE"]}}
"""
STORAGE = """
import os
import threading
from pathlib import Path

from django.core.files.storage import FileSystemStorage


class Hanging(FileSystemStorage):
    def delete(self, name):
        if not Path("mended").exists():
            Path("at").write_text(str(os.getpid()))
            Path("at").rename("hangs")
            threading.Event().wait()
        super().delete(name)


class Failing(FileSystemStorage):
    def delete(self, name):
        if not Path("mended").exists():
            raise OSError("the bucket is locked")
        super().delete(name)
"""
APPS = """
from django.apps import AppConfig


class Shop(AppConfig):
    name = "shop"

    def ready(self):
        from shop import handlers
"""
HANDLERS = """
import os
import time
from pathlib import Path

from django.db import connections

from joblot import on_event, progress
from tests import databases


def note(who, event):
    with open("calls", "a") as calls:
        calls.write(f"{who} {event.job_id}\\n")


def save(event):
    with connections[databases.current()].cursor() as cursor:
        cursor.execute("INSERT INTO saved_row (key, value) VALUES (%s, '')", [str(event.job_id)])


def hang(event):
    name = progress(event.job_id)["name"]
    if name.startswith(("hang", "slow")) and not Path("mended").exists():
        Path("at").write_text(str(os.getpid()))
        Path("at").rename("hangs")
        while name.startswith("hang") or not Path("mended").exists():
            time.sleep(0.02)


@on_event("finished")
def hanging(event):
    save(event)
    hang(event)


@on_event("finished", transactional=False)
def mailing(event):
    note("mailing", event)


@on_event("canceling", transactional=False)
def hanging_outside(event):
    note("outside", event)
    hang(event)
"""


@dataclass
class Shop:
    """`start` runs a joblot command in the project; `limits` are its settings.JOBLOT."""

    folder: Path
    limits: dict[str, Any]
    storage: str = "django.core.files.storage.FileSystemStorage"
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "shop").mkdir()
        for name, text in (
            ("shop_settings.py", SETTINGS),
            ("shop/__init__.py", ""),
            ("shop/apps.py", APPS),
            ("shop/handlers.py", HANDLERS),
            ("shop/storage.py", STORAGE),
        ):
            (self.folder / name).write_text(text)

    def start(self, *args: str) -> subprocess.Popen[str]:
        environment = {
            "DJANGO_SETTINGS_MODULE": "shop_settings",
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",
            "SHOP_LIMITS": json.dumps(self.limits),
            "SHOP_MEDIA": str(self.media),
            "SHOP_STORAGE": self.storage,
        }
        with (self.folder / "said").open("a") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "joblot.cli", *args],
                cwd=self.folder,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.started.append(process)
        return process

    @property
    def media(self) -> Path:
        return self.folder / "media"

    def files(self) -> list[Path]:
        """The large outputs in its storage."""
        return sorted(self.media.rglob("*.json"))

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text()

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def hanging(self) -> int:
        """Wait for a process that hangs in a handler; each call returns the next one."""
        path = self.folder / "hangs"
        pid = int(eventually(lambda: path.read_text() if path.exists() else None))
        path.unlink()
        return pid

    def mend(self) -> None:
        (self.folder / "mended").touch()

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


def deliverers(process: subprocess.Popen[str]) -> list[int]:
    return [pid for pid in children(process.pid) if "joblot.delivery" in command(pid)]


def finished(name: str) -> int:
    """A job of one item that has ended; only the deliveries to handlers are pending."""
    pipeline = name
    job = submit(name, keys(1), pipeline=pipeline)
    worker.drain(pipeline)
    return int(job.pk)
