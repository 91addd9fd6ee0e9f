"""The map of a job: the states of its items, by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from joblot.errors import InvalidInput, NotFound
from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import release
from joblot.ledger.read.map import job_map
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.wire import failure, success
from tests.ledger.conftest import configure, exact
from tests.ledger.worker import keys

__all__ = ["configure", "exact"]

STATES = ("succeeded", "failed", "lost", "skipped", "in_flight", "open")


@pytest.fixture
def job(ledger_db: str) -> Job:
    """Of 20 items, 0 to 5 succeeded in the first stage, 6 failed there, and 7 to 9 are leased."""
    job = submit(
        "night", keys(20), stages=[{"name": one, "pipeline": one} for one in ("find", "name")]
    )
    (lease,) = claim("find", 10).leases
    report(lease.token, [*map(success, range(6)), failure(6, "Error")])
    (second,) = claim("name", 2).leases
    report(second.token, [success(0)])
    return job


def drawn(found: dict[str, Any], state: str) -> list[int]:
    return [cell[state] for cell in found["cells"]]


def test_each_cell_says_how_its_items_stand(job: Job) -> None:
    found = job_map(job.pk, cells=5)
    assert (found["stage"], found["total"], found["cell_items"], found["next"]) == (
        "find",
        20,
        4,
        None,
    )
    assert [cell["first"] for cell in found["cells"]] == [0, 4, 8, 12, 16]
    assert drawn(found, "succeeded") == [4, 2, 0, 0, 0]
    assert drawn(found, "failed") == [0, 1, 0, 0, 0]
    assert drawn(found, "in_flight") == [0, 1, 2, 0, 0]
    assert drawn(found, "open") == [0, 0, 2, 4, 4]


def test_what_an_earlier_stage_gave_up_is_skipped(job: Job) -> None:
    found = job_map(job.pk, stage="name", cells=20)
    assert drawn(found, "succeeded").index(1) == 0
    assert drawn(found, "in_flight").index(1) == 1
    assert drawn(found, "skipped").index(1) == 6


def test_the_sums_are_those_of_the_progress(job: Job) -> None:
    for stage in progress(job.pk)["stages"]:
        sums: Counter[str] = Counter()
        for cell in job_map(job.pk, stage=stage["name"], cells=3)["cells"]:
            sums.update({state: cell[state] for state in STATES})
        assert all(sums[state] == stage[state] for state in STATES if state != "open")
        assert sum(sums.values()) == stage["total"]


def test_what_was_given_back_is_open_again(job: Job) -> None:
    (lease,) = claim("find", 4).leases
    taken = [item.id for item in lease.items]
    assert sum(drawn(job_map(job.pk, cells=20), "in_flight")) == 3 + len(taken)
    release(lease.token)
    assert sum(drawn(job_map(job.pk, cells=20), "in_flight")) == 3


def test_a_part_of_a_job_can_be_shown_in_detail(job: Job) -> None:
    found = job_map(job.pk, first=5, last=8, cells=100)
    assert [cell["first"] for cell in found["cells"]] == [5, 6, 7, 8]
    assert drawn(found, "succeeded") == [1, 0, 0, 0]
    assert drawn(found, "failed") == [0, 1, 0, 0]
    assert drawn(found, "in_flight") == [0, 0, 1, 1]
    assert found["next"] == 9


def test_a_map_covers_so_many_items_and_the_next_one_goes_on(
    job: Job, configure: Callable[..., None]
) -> None:
    configure(map_items_max=15)
    found = job_map(job.pk, cells=3)
    assert (found["last"], found["cell_items"], found["next"]) == (14, 5, 15)
    rest = job_map(job.pk, first=15, cells=3)
    assert (rest["last"], len(rest["cells"]), rest["next"]) == (19, 3, None)


def test_a_job_without_items_has_no_cells(ledger_db: str) -> None:
    found = job_map(submit("none", [], pipeline="p", seal=False).pk)
    assert (found["cells"], found["next"]) == ([], None)


def test_what_is_not_there(job: Job) -> None:
    assert job_map(job.pk, first=1_000)["cells"] == []
    with pytest.raises(InvalidInput, match="stage: expected one of find, name"):
        job_map(job.pk, stage="nowhere")
    with pytest.raises(NotFound):
        job_map(job.pk + 1)
