"""What the limits of a pipeline cost: neither its ended jobs, nor waiting for a cap, take work."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from joblot.ledger.claim.availability import ready_for
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.maintain.pipelines import edit_pipeline
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.blocks import least_read
from tests.ledger.worker import keys, succeed

JOBS = 60
BLOCKS_MAX = 40  # of one claim's reads of stages and leases; 60 jobs take at least 120
BLOCKS_OF_JOB_MAX = 20  # of an empty claim; 60 jobs that each look at 60 take more than 100
TABLES = ("joblot_stage", "joblot_lease")
WANTED = Wanted.of("p", None, None)
ONE = {"in_flight_items_max": 1}


def test_a_claim_does_not_read_the_ended_jobs_of_its_pipeline(postgres_only: str) -> None:
    edit_pipeline("p", policy={"in_flight_items_max": 100})
    for number in range(JOBS):
        cancel(submit(f"ended {number}", keys(1), pipeline="p").pk, grace_seconds=0)
    submit("new", keys(10), pipeline="p")
    claim("p", 1)  # the first claim reads the candidates
    assert least_read(postgres_only, lambda: claim("p", 1).leases, TABLES) <= BLOCKS_MAX


def test_an_empty_claim_counts_what_is_in_flight_once(postgres_only: str) -> None:
    edit_pipeline("p", policy=ONE)
    for number in range(JOBS):
        submit(f"waiting {number}", keys(1), pipeline="p")
    claim("p", 1)
    read = least_read(postgres_only, lambda: not claim("p", 1).leases, TABLES)
    assert read <= BLOCKS_OF_JOB_MAX * JOBS


@pytest.mark.parametrize(("of_pipeline", "of_job"), [(ONE, {}), ({}, ONE)])
def test_a_waiting_claim_is_not_woken_at_a_cap(
    ledger_db: str, of_pipeline: Mapping[str, int], of_job: Mapping[str, int]
) -> None:
    """Otherwise it would be made over and over for as long as the cap is reached."""
    edit_pipeline("p", policy=of_pipeline)
    submit("capped", keys(9), pipeline="p", policy=of_job)
    assert ready_for({WANTED}) == {WANTED: 0.0}
    lease = worker.lease("p", 1)
    assert ready_for({WANTED}).get(WANTED) != 0.0
    succeed(lease)
    assert ready_for({WANTED}) == {WANTED: 0.0}
