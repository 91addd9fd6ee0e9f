"""Large outputs: a report that uses a file, concurrent with its marking and its removal.

In any order, every referenced file exists, and in the end no other does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from joblot import config
from joblot.ledger.job.lifecycle import delete
from joblot.ledger.job.prune import prune
from joblot.ledger.job.removal import go_on as go_on_removing
from joblot.ledger.maintain.file_removal import remove_files
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.rows.outputs import give_up, mark_unreferenced, output_of, storage
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Outcome, StoredOutput, Uncounted
from joblot.testing.interleave import explore
from joblot.testing.simulator import recount
from joblot.wire import GrantedLease
from tests import databases
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import keys, succeed

LARGE = {"text": "ü" * 100}
MEMORY = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
SECONDS = 10_000  # after these, no report is waited for any more
ORDERS = {"quick": 8, "full": 250, "deep": 5_000}


@dataclass
class Scene:
    """A job with two leases on one item each, and another job whose output has a file."""

    db: str
    orders: int
    clock: Clock = field(default_factory=Clock)
    leases: list[GrantedLease] = field(default_factory=list)
    before: Job | None = None

    def made(self) -> None:
        databases.empty(self.db)
        for name in files():
            storage().delete(name)
        self.before = submit("before", keys(1), pipeline="before")
        succeed(worker.lease("before"), output=LARGE)
        submit("now", keys(2), pipeline="p")
        self.leases = [worker.lease(limit=1), worker.lease(limit=1)]

    def unreferenced(self) -> None:
        """Remove the file's job; the sweep is about to check the file."""
        self.made()
        assert self.before
        delete(self.before.pk)
        go_on_removing(SECONDS)

    def explore(
        self, set_up: Callable[[], None], kills: int = 0, **acts: Callable[[], object]
    ) -> None:
        explore(
            acts,
            setup=set_up,
            check=self.check,
            using=self.db,
            preemptions=2,
            schedules_max=self.orders,
            samples=self.orders // 5,
            seed=1,
            kills=kills,
        )

    def check(self, outcomes: Any) -> None:
        for name, outcome in outcomes.items():
            if name.startswith("report") and not outcome.killed:
                assert outcome.value == ["counted"]
        for ref in referred():
            assert output_of(None, ref) == LARGE
        moment = self.clock.now
        self.clock.forward(SECONDS)
        sweep()
        remove_files()
        self.clock.forward((moment - self.clock.now).total_seconds())
        assert set(files()) == referred()
        assert set(StoredOutput.objects.values_list("name", flat=True)) == referred()
        recount.check_all()


def referred() -> set[str]:
    refs = Outcome.objects.filter(output_ref__isnull=False).values_list("output_ref", flat=True)
    late = Uncounted.objects.filter(output_ref__isnull=False).values_list("output_ref", flat=True)
    return {*refs, *late}


def files() -> list[str]:
    root = "joblot/outputs"
    if not storage().exists(root):
        return []
    folders = storage().listdir(root)[0]
    return [f"{root}/{f}/{name}" for f in folders for name in storage().listdir(f"{root}/{f}")[1]]


@pytest.fixture
def scene(ledger_db: str, orders: str) -> Iterator[Scene]:
    config.configure({"output_bytes_inline_max": 100})
    scene = Scene(ledger_db, ORDERS[orders])
    with override_settings(STORAGES={"joblot": MEMORY, "default": MEMORY}):
        yield scene
    scene.clock.release()
    config.configure({})


def mark() -> None:
    mark_unreferenced(SECONDS)


def collect() -> None:
    mark()
    remove_files()


def test_a_report_and_the_collection_of_the_file_that_it_finds(scene: Scene) -> None:
    scene.explore(
        scene.unreferenced,
        report=lambda: succeed(scene.leases[0], output=LARGE),
        collect=collect,
    )


def test_a_report_a_mark_and_a_removal(scene: Scene) -> None:
    scene.explore(
        scene.unreferenced,
        report=lambda: succeed(scene.leases[0], output=LARGE),
        mark=mark,
        remove=remove_files,
    )


def test_two_collections_and_a_report(scene: Scene) -> None:
    scene.explore(
        scene.unreferenced,
        report=lambda: succeed(scene.leases[0], output=LARGE),
        collect=collect,
        collect_too=collect,
    )


def test_two_reports_of_the_same_output_and_the_removal_of_its_job(scene: Scene) -> None:
    def remove() -> None:
        prune(timedelta(seconds=-1))
        collect()

    scene.explore(
        scene.made,
        report=lambda: succeed(scene.leases[0], output=LARGE),
        report_too=lambda: succeed(scene.leases[1], output=LARGE),
        remove=remove,
    )


def test_a_file_that_is_given_up_and_a_report_that_finds_it(scene: Scene) -> None:
    """As after a rejection: the stored file is unreferenced, and another report needs it."""

    def given_up() -> None:
        scene.unreferenced()
        StoredOutput.ledger.update(check_at=None)

    def give_up_and_collect() -> None:
        give_up(StoredOutput.objects.values_list("name", flat=True))
        collect()

    scene.explore(
        given_up,
        report=lambda: succeed(scene.leases[0], output=LARGE),
        give_up=give_up_and_collect,
    )


def test_a_report_or_a_collection_that_dies_loses_no_file_and_leaves_none(scene: Scene) -> None:
    scene.explore(
        scene.unreferenced,
        kills=1,
        report=lambda: succeed(scene.leases[0], output=LARGE),
        collect=collect,
    )
