"""The Celery application of these tests, on the test's database: `celery -A …project worker`.

Its tasks write what they do into files of a folder, where the test sees it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.distributed.celery.settings")
django.setup()

from celery import Celery  # noqa: E402 (its Django integration needs the settings)

from joblot.contrib.celery import ItemTask, beat_schedule  # noqa: E402

FOLDER = Path(os.environ.get("JOBLOT_TEST_FOLDER", "."))
REDIS = os.environ.get("JOBLOT_TEST_REDIS", "redis://127.0.0.1:1")

app = Celery("project", broker=f"{REDIS}/0", backend=f"{REDIS}/1")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 3},  # every slow message comes twice
    worker_prefetch_multiplier=4,
    task_acks_late=True,
    beat_schedule=beat_schedule(1.0),
    beat_schedule_filename=str(FOLDER / "beat"),
)
app.autodiscover_tasks()


def note(file: str, line: object) -> None:
    with (FOLDER / file).open("a") as notes:
        notes.write(f"{line}\n")


@app.task(base=ItemTask, bind=True, name="member", max_retries=5)  # type: ignore[untyped-decorator]
def member(self: Any, number: int) -> int:
    note("begun", f"{number} {os.getpid()}")
    if number % 50 == 7 and not (FOLDER / f"retried-{number}").exists():
        (FOLDER / f"retried-{number}").touch()
        raise self.retry(exc=ConnectionError("once"))
    time.sleep(0.02)
    return number * number


@app.task(base=ItemTask, name="callback")  # type: ignore[untyped-decorator]
def callback(about: dict[str, Any]) -> None:
    note("called", about["status"])
