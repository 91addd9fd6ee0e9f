"""A storage that fails or hangs, or whose process dies: what it delays, and its files."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage
from django.test import override_settings

from joblot import faults
from joblot.config import limits
from joblot.errors import Unavailable
from joblot.ledger.job import removal
from joblot.ledger.job.lifecycle import delete
from joblot.ledger.maintain.file_removal import remove_files
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.health import health
from joblot.ledger.read.items import outputs
from joblot.ledger.room import limit_to
from joblot.ledger.rows.outputs import mark_unreferenced, unreferenced
from joblot.ledger.submit.submit import submit
from joblot.models import StoredOutput
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.large_files import LARGE, SMALL, collect, files, in_memory
from tests.ledger.statuses import Cut, die
from tests.ledger.worker import keys, receipts, status, succeed

__all__ = ["in_memory"]


@pytest.mark.parametrize(
    ("point", "left"),
    [("outputs: claimed, not removed", 1), ("outputs: removed, not forgotten", 0)],
)
def test_a_removal_that_died_is_gone_on_with(
    ledger_db: str, clock: Any, point: str, left: int
) -> None:
    job = submit("died", keys(2), pipeline="p")
    lease = worker.lease(limit=1)
    succeed(lease, output=LARGE)
    delete(job.pk)
    with faults.armed(point, die), pytest.raises(Cut):
        collect()
    assert len(files()) == left
    again = submit("again", keys(1), pipeline="p")
    succeed(worker.lease(), output=LARGE)
    assert len(files()) == left + 1  # under another name
    collect()
    assert len(files()) == left + 1  # an attempt may be in progress
    clock.forward(limits().output_removal_seconds_max + limits().output_removal_retry_seconds)
    collect()
    assert len(files()) == StoredOutput.objects.count() == 1
    assert dict(outputs(again.pk)) == {"k0": LARGE}


class Stubborn(InMemoryStorage):
    def delete(self, name: str) -> None:
        raise OSError("the bucket is locked")


def outputs_check() -> tuple[bool, str]:
    (check,) = (one for one in health() if one["check"] == "outputs")
    return check["ok"], check["found"]


def test_a_storage_that_does_not_remove_is_called_by_no_sweep_and_doctor_names_its_files(
    ledger_db: str, clock: Any
) -> None:
    stubborn = {"BACKEND": f"{__name__}.Stubborn"}
    with override_settings(STORAGES={"joblot": stubborn, "default": stubborn}):
        job = submit("stuck", keys(2), pipeline="p")
        lease = worker.lease()
        receipts(lease, success(0, LARGE), success(1, {"other": "ü" * 100}))
        assert unreferenced() == 0
        delete(job.pk)
        removal.go_on(60)
        assert unreferenced() == 2
        sweep()
        assert (len(files()), unreferenced()) == (2, 0)
        assert outputs_check() == (True, "no file waits to be removed")

        clock.forward(limits().sweep_overdue_seconds + 1)
        ok, found = outputs_check()
        assert (ok, found[:44]) == (False, "2 files have waited to be removed since 2030")
        assert "joblot deliver --forever" in found

        assert remove_files() == 0  # stops at the first failure
        assert remove_files() == 0
        assert remove_files() == 0  # both are put off
        ok, found = outputs_check()
        assert (ok, found.count("try 1 failed (OSError: the bucket is locked)")) == (False, 2)
        assert "next try at 2030-01-01T00:01:31+00:00" in found
    clock.forward(limits().output_removal_retry_seconds)
    assert remove_files() == 2
    assert outputs_check() == (True, "no file waits to be removed")


def test_files_are_checked_in_batches_and_for_a_bounded_time(
    ledger_db: str, configure: Any
) -> None:
    configure(outputs_checked_batch=2, **SMALL)
    job = submit("many", keys(9), pipeline="p")
    lease = worker.lease()
    receipts(lease, *(success(n, {"n": n, "text": "ü" * 100}) for n in range(9)))
    delete(job.pk)
    removal.go_on(60)
    assert mark_unreferenced(1e-9) in (0, 2)
    assert mark_unreferenced(60) in (7, 9)
    assert len(files()) == 9  # the sweep does not call the storage
    assert remove_files() == 9
    assert files() == []


class Hanging(InMemoryStorage):
    """No call returns until `go_on` is set."""

    hangs, go_on = threading.Event(), threading.Event()

    def _save(self, name: str, content: Any) -> str:
        self.hangs.set()
        assert self.go_on.wait(60)
        return str(super()._save(name, content))  # type: ignore[misc]  # the stubs lack it


def test_a_storage_that_hangs_leaves_threads_for_what_needs_no_file(
    postgres_only: str, in_thread: Any
) -> None:
    hanging = {"BACKEND": f"{__name__}.Hanging"}
    job = submit("hung", keys(3), pipeline="p")
    first, second, third = (worker.lease(limit=1) for _ in range(3))
    with override_settings(STORAGES={"joblot": hanging, "default": hanging}):
        limit_to(1)
        try:
            running = in_thread(succeed, first, output=LARGE)
            assert Hanging.hangs.wait(60)
            with pytest.raises(Unavailable, match="1 calls of hooks and of the storage"):
                succeed(second, output={"other": "ü" * 100})
            assert succeed(third) == ["counted"]
        finally:
            limit_to(math.inf)
            Hanging.go_on.set()
        assert running.result() == ["counted"]
        assert succeed(second, output={"other": "ü" * 100}) == ["counted"]
    assert status(job) == "SUCCESS"
