"""Throughput: what was settled, when, by how many workers; the sum of a run is its count."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.errors import InvalidInput
from joblot.ledger.job.lifecycle import pause, resume
from joblot.ledger.maintain.sample import sample
from joblot.ledger.read.progress import progress
from joblot.ledger.read.throughput import BUCKETS, throughput
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import drain, fail, keys, succeed


def total(found: dict[str, Any], name: str = "succeeded") -> int:
    return sum(bucket[name] for bucket in found["buckets"])


def test_a_run_adds_up_and_shows_its_pause(ledger_db: str, clock: Clock, caches_kept: None) -> None:
    job = submit("x", keys(500), pipeline="p").pk
    for step in range(60):
        if step == 20:
            pause(job)
        if step == 40:
            resume(job)
        if not 20 <= step < 40:
            lease = worker.lease("p", 10, worker="gpu-1")
            sample()
        clock.forward(10)
        if not 20 <= step < 40:
            succeed(lease, *(item.id for item in lease.items[:-1]))
            fail(lease, lease.items[-1].id)
    found = throughput(job, "run")
    assert len(found["buckets"]) == BUCKETS
    settled = progress(job)["stages"][0]
    assert (total(found), total(found, "failed")) == (settled["succeeded"], 40)
    paused = [n for n, bucket in enumerate(found["buckets"]) if bucket["paused"]]
    assert paused == list(range(20, 40))
    assert all(found["buckets"][n]["succeeded"] == 0 for n in paused[1:-1])
    lately = throughput(job, "15m")
    assert lately["seconds"] == pytest.approx(10)
    worker.drain("p")
    assert total(throughput(job, "run")) == 460


def test_a_window_shows_the_last_part_of_a_run(
    ledger_db: str, clock: Clock, caches_kept: None
) -> None:
    job = submit("x", keys(3_000), pipeline="p").pk
    for _ in range(120):
        sample()
        succeed(worker.lease("p", 20))
        clock.forward(30)
    found = throughput(job, "15m")
    assert found["seconds"] == 15
    assert total(found) == pytest.approx(600, abs=20)
    assert total(throughput(job, "1h")) == progress(job)["stages"][0]["succeeded"]


def test_a_run_that_has_not_begun_has_none(ledger_db: str, clock: Clock) -> None:
    job = submit("x", keys(3), pipeline="p").pk
    assert throughput(job)["buckets"] == []
    with pytest.raises(InvalidInput, match="window: expected one of 15m, 1h, 6h, run, got '2h'"):
        throughput(job, "2h")
    drain("p")


def test_a_run_that_has_ended_stays_as_it_was(ledger_db: str, clock: Clock) -> None:
    job = submit("x", keys(30), pipeline="p").pk
    for _ in range(3):
        lease = worker.lease("p", 10)
        sample()
        clock.forward(10)
        succeed(lease)
    before = throughput(job, "run")
    clock.forward(86_400)
    assert throughput(job, "run")["buckets"] == before["buckets"]
