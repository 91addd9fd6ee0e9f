"""Django's tasks on a real ledger, with a worker that does what is due in this thread."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import django
import pytest

from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.wire import GrantedLease, ItemReceipt
from joblot.worker.current import working_on
from joblot.worker.retrying import Retrying
from tests.ledger.conftest import exact, own_hooks

__all__ = ["exact", "own_hooks"]

HAS_TASKS = django.VERSION >= (6, 0) or importlib.util.find_spec("django_tasks") is not None
NOTHING = f"Django {django.__version__} has no tasks, and the package django-tasks is missing"

OF_DJANGO = "django.tasks.backends" if django.VERSION >= (6, 0) else "django_tasks.backends"
TASKS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "joblot.contrib.tasks.JoblotBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"policy": {"failures_max": 3, "retry_backoff_seconds": 0}},
    },
    "other": {"BACKEND": "joblot.contrib.tasks.JoblotBackend", "OPTIONS": {"project": "others"}},
    "immediate": {"BACKEND": f"{OF_DJANGO}.immediate.ImmediateBackend", "QUEUES": ["default"]},
    "dummy": {"BACKEND": f"{OF_DJANGO}.dummy.DummyBackend", "QUEUES": ["default"]},
}


class Skipped(pytest.Module):
    """A file that can't be imported here; the summary says why."""

    def collect(self) -> NoReturn:
        pytest.skip(NOTHING, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Any:
    return None if HAS_TASKS else Skipped.from_parent(parent, path=module_path)


@pytest.fixture(autouse=True)
def calls(settings: Any) -> Iterator[list[Any]]:
    """What the tasks of `shop.py` note of their calls."""
    settings.TASKS = TASKS
    from tests.contrib.tasks import shop

    shop.calls.clear()
    yield shop.calls
    shop.calls.clear()


class Workers:
    """They claim one task after the other, and report it."""

    def take(self, queue: str = "default", worker: str = "w1") -> GrantedLease | None:
        leases = claim([f"tasks:{queue}"], 1, worker=worker).leases
        return leases[0] if leases else None

    def finish(self, lease: GrantedLease, retrying: Retrying | None = None) -> ItemReceipt:
        from joblot.contrib.tasks.running import working

        with working_on(lease):
            ((result,),) = working(retrying or Retrying())(lease.items)
        (receipt,) = report(lease.token, [result])
        return receipt

    def run(self, queue: str = "default", *, tasks_max: int = 100) -> int:
        """Work until nothing is due; returns how many calls that took."""
        done = 0
        while done < tasks_max and (lease := self.take(queue, f"w{done + 1}")):
            self.finish(lease)
            done += 1
        return done


@pytest.fixture
def workers(ledger_db: str) -> Workers:
    return Workers()
