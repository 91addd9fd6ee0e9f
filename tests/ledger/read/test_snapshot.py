"""The snapshot that a page follows."""

from __future__ import annotations

import json

import pytest

from joblot.errors import InvalidInput, NotFound
from joblot.ledger.job.retry import retry
from joblot.ledger.read.partition import PARTS
from joblot.ledger.read.progress import progress
from joblot.ledger.read.snapshot import Key, snapshot
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import TWO_STAGES, drain, keys

BYTES_MAX = 2_048  # of a message about an ordinary job


def test_every_stage_adds_up_to_the_total(ledger_db: str) -> None:
    job = submit("mixed", keys(10), stages=TWO_STAGES)
    lease = worker.lease("p", limit=6)
    worker.succeed(lease, *worker.numbers(lease)[:3])
    worker.fail(lease, worker.numbers(lease)[3])
    found = snapshot(job.pk)
    assert [sum(stage[part] for part in PARTS) for stage in found["stages"]] == [10, 10]
    assert [stage["not_reached"] for stage in found["stages"]] == [0, 6]
    assert [stage["settled"] for stage in found["stages"]] == [4, 1]
    assert found["settled"] == 1  # an item is settled once it is settled in every stage


def test_a_later_snapshot_has_a_greater_key(ledger_db: str) -> None:
    job = submit("retried", keys(2), pipeline="p")
    found = [snapshot(job.pk)]
    worker.fail(worker.lease())
    found.append(snapshot(job.pk))
    retry(job.pk)
    found.append(snapshot(job.pk))
    read = [Key.parse(one["key"]) for one in found]
    assert read == sorted(set(read))
    assert [key.run for key in read] == [1, 1, 2]
    assert [one["is_final"] for one in found] == [False, True, False]


def test_the_key_is_the_time_of_the_read_by_the_databases_clock(
    ledger_db: str, clock: Clock
) -> None:
    job = submit("timed", keys(1), pipeline="p")
    key, as_of = Key.parse(snapshot(job.pk)["key"]), progress(job.pk)["as_of"]
    clock.forward(2.5)
    assert Key.of({"run": 1, "revision": 0, "as_of": as_of}) == key
    assert Key.parse(snapshot(job.pk)["key"]).microseconds == key.microseconds + 2_500_000


@pytest.mark.parametrize("given", ["", "1.2", "a.b.c", "1.2.3.", "1.2.3\n", "1.2.\u0663"])
def test_what_is_no_key(given: str) -> None:
    with pytest.raises(InvalidInput, match=r"run\.revision\.microseconds"):
        Key.parse(given)


def test_a_job_that_does_not_exist(ledger_db: str) -> None:
    with pytest.raises(NotFound):
        snapshot(1)


def test_an_ordinary_job_fits_into_a_small_message(ledger_db: str) -> None:
    stages = [{"name": f"stage-{n}", "pipeline": "p"} for n in range(4)]
    job = submit("ordinary", keys(20), stages=stages, seal=False)
    worker.fail(worker.lease(), retryable=True)
    drain("p")
    assert len(json.dumps(snapshot(job.pk), separators=(",", ":"))) <= BYTES_MAX
