"""Workers that were not seen for a week are removed by the sweep, and old figures with them."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.config import limits
from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import renew
from joblot.ledger.maintain import gone_workers
from joblot.ledger.maintain.revocation import restore_worker, revoke_worker
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.gauges import gauges
from joblot.ledger.read.workers import workers
from joblot.ledger.rows import worker_figures
from joblot.ledger.rows.workers import forget, seen
from joblot.ledger.submit.submit import submit
from joblot.models import WorkerMinute
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import keys, succeed

WEEK = 7 * 86_400


def names() -> list[str]:
    return sorted(one["instance"] for one in workers())


def gauge(name: str) -> float:
    return {one.name: one.value for one in gauges()}[name]


def test_a_worker_is_removed_a_week_after_it_was_seen(ledger_db: str, clock: Clock) -> None:
    assert limits().worker_kept_seconds == WEEK
    seen(1, "old")
    clock.forward(WEEK)
    seen(1, "new")
    sweep()
    assert names() == ["new", "old"]
    assert (gauge("online_workers"), gauge("offline_workers")) == (1, 1)
    clock.forward(1)
    sweep()
    assert names() == ["new"]
    assert gauge("offline_workers") == 0


def test_a_revoked_worker_stays_refused(ledger_db: str, clock: Clock) -> None:
    seen(1, "bad")
    revoke_worker(1, "bad")
    clock.forward(10 * WEEK)
    sweep()
    assert names() == ["bad"]
    assert (gauge("offline_workers"), gauge("revoked_workers")) == (0, 1)
    restore_worker(1, "bad")
    sweep()
    assert names() == []


def test_a_worker_that_holds_items_stays(ledger_db: str, clock: Clock) -> None:
    submit("long", keys(1), pipeline="p", policy={"lease_seconds": WEEK})
    lease = worker.lease(worker="slow")
    clock.forward(WEEK - 1)
    renew(lease.token)
    clock.forward(2)
    sweep()
    assert names() == ["slow"]
    succeed(lease)
    sweep()
    assert names() == []


def test_a_worker_that_comes_back_is_as_before(
    ledger_db: str, clock: Clock, configure: Any
) -> None:
    seen(0, "gpu-1", {"host": "alpha"})
    claim("p", worker="gpu-1")
    clock.forward(WEEK + 1)
    sweep()
    assert names() == []
    configure(worker_kept_seconds=1e-9)  # this process remembers it for half as long as its row
    seen(0, "gpu-1", {"host": "alpha"})
    claim("p", worker="gpu-1")
    (one,) = workers()
    assert (one["host"], one["pipelines"]) == ("alpha", ["p"])


def test_one_that_is_seen_while_the_sweep_reads_is_not_removed(
    ledger_db: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen(1, "back")
    clock.forward(WEEK + 1)

    def seen_meanwhile(rows: Any) -> dict[int, str]:
        found = dict(rows)
        forget()
        seen(1, "back")
        return found

    monkeypatch.setattr(gone_workers, "dict", seen_meanwhile, raising=False)
    sweep()
    assert names() == ["back"]


def test_figures_of_more_than_an_hour_ago_are_removed(ledger_db: str, clock: Clock) -> None:
    submit("work", keys(2), pipeline="p", policy={"lease_seconds": WEEK})
    lease = worker.lease(limit=2, worker="gpu-1")
    succeed(lease, 0)
    worker_figures.write(older_than=0.0)
    clock.forward(3_599)
    sweep()
    assert WorkerMinute.objects.count() == 1
    clock.forward(1)
    sweep()
    assert WorkerMinute.objects.count() == 0
    succeed(lease, 1)
    worker_figures.write(older_than=0.0)
    clock.forward(-3_600)  # the clock was ahead
    sweep()
    assert WorkerMinute.objects.count() == 0
