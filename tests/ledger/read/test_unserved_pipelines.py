"""The pipelines without a worker, over all jobs: by the rule that `why` follows for one job."""

from __future__ import annotations

from collections.abc import Callable, Collection

from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import pause
from joblot.ledger.read.unserved import unserved
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import TWO_STAGES, keys


def texts(projects: Collection[str] | None = None) -> dict[str, str]:
    return {one.pipeline: str(one) for one in unserved(projects)}


def test_what_waits_for_a_pipeline_is_summed_over_its_jobs_most_first(ledger_db: str) -> None:
    submit("a", keys(1), pipeline="few")
    submit("b", keys(3), pipeline="many")
    submit("c", keys(4), pipeline="many", project="alps")
    submit("d", keys(9), pipeline="many", start=False)
    pause(submit("e", keys(9), pipeline="many").pk)
    assert list(texts().items()) == [
        ("many", "7 items of 2 jobs wait; no worker has ever asked for it"),
        ("few", "1 item of 1 job waits; no worker has ever asked for it"),
    ]
    assert texts(["alps"]) == {"many": "4 items of 1 job wait; no worker has ever asked for it"}
    assert texts([]) == {}


def test_a_pipeline_is_served_while_a_worker_asks_or_is_busy(ledger_db: str, clock: Clock) -> None:
    assert claim("p", 1, worker="gpu-1").leases == ()
    submit("a", keys(3), pipeline="p", policy={"lease_seconds": 3_600})
    assert texts() == {}
    clock.forward(300)
    assert texts() == {"p": "3 items of 1 job wait; no worker has asked for it for 5 min"}
    (lease,) = claim("p", 1, worker="gpu-1").leases
    clock.forward(100)  # it asks no more while it works, and its next renewal is not due
    assert texts() == {}
    clock.forward(3_000)
    assert texts()["p"].startswith("2 items of 1 job wait; no worker has asked for it for ")
    assert lease.items


def test_only_workers_that_may_work_on_the_project_serve_it(ledger_db: str) -> None:
    for project in ("alps", "andes"):
        submit("a", keys(2), pipeline="p", project=project)
    claim("p", 1, projects=["andes"], worker="gpu-1")
    assert texts() == {"p": "2 items of 1 job wait; no worker has ever asked for it"}
    assert texts(["andes"]) == {}


def test_a_later_stage_waits_once_items_reach_it(ledger_db: str) -> None:
    job = submit("a", keys(2), stages=TWO_STAGES)
    assert list(texts()) == ["p"]
    lease = worker.lease("p", job=job.pk)
    assert texts() == {}
    worker.succeed(lease)
    assert texts() == {"q": "2 items of 1 job wait; no worker has ever asked for it"}


def test_at_most_so_many_stages_are_read(ledger_db: str, configure: Callable[..., None]) -> None:
    configure(unserved_stages_max=2)
    for n in range(3):
        submit(f"job {n}", keys(1), pipeline=f"p{n}")
    assert list(texts()) == ["p0", "p1"]
