"""CL: which work is served."""

from __future__ import annotations

from collections import Counter
from typing import Any

from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, pause, resume
from joblot.ledger.read.history import events
from joblot.ledger.read.items import items
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.progress import jobs, progress
from joblot.ledger.read.why import why
from joblot.ledger.submit.submit import submit
from tests.failures.statements import statements_of, written_by
from tests.ledger import worker
from tests.ledger.worker import keys, nothing, status, succeed


def test_CL1_every_claim_beside_a_large_cancelled_job_is_served(ledger_db: str) -> None:
    dead = submit("dead", keys(500), pipeline="p")
    worker.lease()
    cancel(dead.pk, grace_seconds=60)
    live = submit("live", keys(20), pipeline="p")
    assert [worker.lease(limit=1).job for _ in range(20)] == [live.pk] * 20


def test_CL2_the_first_claim_finds_the_one_job_that_can_be_worked(ledger_db: str) -> None:
    for n in range(20):
        submit(f"created {n}", keys(4), pipeline="p", start=False)
    stopped = submit("paused", keys(4), pipeline="p")
    pause(stopped.pk)
    live = submit("live", keys(4), pipeline="p")
    assert worker.lease().job == live.pk
    resume(stopped.pk)
    assert worker.lease().job == stopped.pk


def test_CL4_no_claim_goes_away_empty_while_anything_is_ready(ledger_db: str) -> None:
    """Small jobs among large ones; the workers are idle only when all is leased."""
    sizes = (10, 100, 300)
    made = [submit(f"of {size}", keys(size), pipeline="p", project=str(size)) for size in sizes]
    left = sum(sizes)
    while left:
        lease = worker.lease(limit=20)
        left -= len(lease.items)
        succeed(lease)
    assert nothing()
    assert [status(job) for job in made] == ["SUCCESS"] * 3


def test_CL4_CL5_a_long_queue_starves_no_other_project(ledger_db: str) -> None:
    """50 jobs against one: the single job gets about half of the claims while it has work."""
    for n in range(50):
        submit(f"a{n}", keys(20), pipeline="p", project="a")
    lone = submit("b", keys(200), pipeline="p", project="b")
    served = Counter(worker.lease(limit=1).job == lone.pk for _ in range(100))
    assert 45 <= served[True] <= 55


def test_CL5_priority_comes_before_age_inside_a_project(ledger_db: str) -> None:
    submit("old", keys(4), pipeline="p")
    urgent = submit("urgent", keys(4), pipeline="p", priority=9)
    assert worker.lease().job == urgent.pk


def test_CL6_a_claim_holds_what_it_asked_for_of_one_job(ledger_db: str) -> None:
    made = [submit(f"j{n}", keys(10), pipeline="p") for n in range(3)]
    answer = claim("p", 4)
    assert [len(lease.items) for lease in answer.leases] == [4]
    ready = [progress(job.pk)["stages"][0]["ready"] for job in made]
    assert sorted(ready) == [6, 10, 10]


def test_CL7_a_worker_is_given_only_what_its_pipelines_name(ledger_db: str) -> None:
    submit("another kind", keys(4), pipeline="export")
    assert nothing("detect")
    mine = submit("mine", keys(1), pipeline="detect", config={"slug": "x"})
    lease = worker.lease("detect")
    assert (lease.job, lease.pipeline, lease.config) == (mine.pk, "detect", {"slug": "x"})


def test_CL10_no_reading_takes_work_or_writes(ledger_db: str) -> None:
    job = submit("cl10", keys(4), pipeline="p")

    def read_all() -> None:
        for reader in (progress, items, events, logs, why):
            reader(job.pk)
        jobs()

    assert statements_of(read_all)
    assert not written_by(read_all)
    assert len(worker.lease().items) == 4


def test_CL9_an_idle_worker_is_told_when_to_ask_again(ledger_db: str, configure: Any) -> None:
    configure(claim_retry_seconds_max=7)
    assert claim("p").retry_after_seconds == 7
