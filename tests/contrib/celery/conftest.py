"""A Celery application whose broker is in memory, with a worker in threads, on a real ledger."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.signals import before_task_publish, task_postrun, task_prerun
from celery.worker.state import revoked
from django.db import connections

from joblot.contrib.celery import ItemTask
from joblot.contrib.celery.callbacks import submit_callback
from joblot.ledger.read.progress import progress
from joblot.ledger.report import hooks
from joblot.states import TERMINAL
from tests.ledger.conftest import configure, exact, own_hooks
from tests.polling import eventually

__all__ = ["configure", "exact", "own_hooks"]

Working = Callable[[], AbstractContextManager[None]]


class World:
    """The application, its tasks, and what happened to them."""

    def __init__(self) -> None:
        self.app = Celery("tests", broker="memory://", fixups=[], set_as_current=True)
        self.app.conf.task_default_queue = uuid4().hex  # memory is shared by all tests
        self.app.conf.broker_transport_options = {"polling_interval": 0.01}
        self.app.conf.broker_connection_retry_on_startup = True
        self.app.conf.worker_hijack_root_logger = False
        self.calls: Counter[Any] = Counter()
        self.called_back: list[dict[str, Any]] = []
        self.published: list[tuple[str, str]] = []  # name and id
        self.active: set[str] = set()  # ids of tasks in progress
        self.gate = threading.Event()
        self.gate.set()

        def member(payload: Any, scale: int = 1) -> Any:
            self.calls[payload] += 1
            assert self.gate.wait(30)
            return payload * scale

        def callback(about: dict[str, Any]) -> None:
            self.called_back.append(about)

        self.member = self.task("member", member)
        self.callback = self.task("callback", callback)

    def task(self, name: str, function: Callable[..., Any], **options: Any) -> Any:
        return self.app.task(name=name, base=ItemTask, shared=False, **options)(function)

    @contextmanager
    def working(self, concurrency: int = 4) -> Iterator[None]:
        with start_worker(
            self.app,
            pool="threads",
            loglevel="WARNING",  # Celery sets the root logger's level for the whole process
            concurrency=concurrency,
            perform_ping_check=False,
            shutdown_timeout=30,
        ):
            yield
        eventually(lambda: not self.active)  # the pool's threads are not waited for

    def purge(self) -> int:
        """Lose all messages; returns how many."""
        return int(self.app.control.purge())

    def sweep(self) -> None:
        """What the beat entry has a worker do."""
        self.app.tasks["joblot.sweep"].apply()

    def sweep_until(self, look: Callable[[], object]) -> None:
        def swept() -> object:
            self.sweep()
            return look()

        eventually(swept)

    def ended(self, job: int) -> dict[str, Any]:
        """Sweep until the job has ended."""
        self.sweep_until(lambda: progress(job)["status"] in TERMINAL)
        return progress(job)


@pytest.fixture
def world(ledger_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    import joblot.contrib.celery.tasks  # noqa: F401 (as autodiscover_tasks does)

    monkeypatch.setattr(hooks, "_on_fan_out", list(hooks._on_fan_out))
    hooks.on_fan_out("finished")(submit_callback)
    world = World()

    def note(sender: str, headers: dict[str, Any], **_: Any) -> None:
        world.published.append((sender, headers["id"]))

    def begin(task_id: str, **_: Any) -> None:
        world.active.add(task_id)

    def close(task_id: str, **_: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            connections.close_all()
        world.active.discard(task_id)

    before_task_publish.connect(note, weak=False)
    task_prerun.connect(begin, weak=False)
    task_postrun.connect(close, weak=False)
    yield world
    before_task_publish.disconnect(note)
    task_prerun.disconnect(begin)
    task_postrun.disconnect(close)
    revoked.clear()
    world.app.close()
