"""Why items wait for a pipeline that no worker asks for, of those that may work on the job."""

from __future__ import annotations

from typing import Any

from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import release, renew
from joblot.ledger.read.reasons.reason import NOBODY
from joblot.ledger.read.unserved import unserved
from joblot.ledger.read.why import why
from joblot.ledger.read.workers import serving
from joblot.ledger.rows import workers
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import TWO_STAGES, keys, succeed


def reasons(job: Job, **more: Any) -> dict[str, dict[str, Any]]:
    return {one["code"]: one for one in why(job.pk, **more)["reasons"]}


def texts(job: Job, **more: Any) -> list[str]:
    return [one["text"] for one in why(job.pk, **more)["reasons"]]


def test_a_pipeline_that_nobody_has_ever_asked_for(ledger_db: str) -> None:
    claim("shrink", worker="gpu-1")
    claim("shrink", worker="gpu-2")
    job = submit("why", keys(20), pipeline="shrnik")
    assert texts(job) == [
        (
            "20 items wait for pipeline 'shrnik'; no worker has ever asked for it; workers online "
            "serve 'shrink' (2)"
        )
    ]
    assert reasons(job)["unserved"]["count"] == 20
    assert texts(job, owner=7) == [
        "20 items wait for pipeline 'shrnik'; no worker has ever asked for it; no worker is online"
    ]


def test_a_pipeline_that_nobody_asks_for_any_more(ledger_db: str, clock: Clock) -> None:
    claim("detect", worker="gpu-1")
    job = submit("why", keys(2), pipeline="detect")
    assert texts(job) == ["2 items are ready and not claimed yet"]
    clock.forward(3 * 3600 + 20)
    assert texts(job) == [
        (
            "2 items wait for pipeline 'detect'; no worker has asked for it for 3 h; no worker is "
            "online"
        )
    ]


def test_a_worker_that_is_at_work_on_another_job_serves_its_pipeline(
    ledger_db: str, clock: Clock
) -> None:
    submit("long", keys(1), pipeline="p", policy={"lease_seconds": 600})
    lease = worker.lease(worker="gpu-1")
    job = submit("next", keys(2), pipeline="p")
    for _ in range(3):
        clock.forward(110)
        renew(lease.token)
    assert texts(job) == ["2 items are ready and not claimed yet"]
    assert unserved() == []


def test_a_claim_without_a_name_and_one_of_this_job_count_too(ledger_db: str) -> None:
    job = submit("why", keys(2), pipeline="p")
    assert "unserved" in reasons(job)
    release(worker.lease("p", job=job.pk).token)
    assert "unserved" not in reasons(job)
    other = submit("other", keys(2), pipeline="p")
    assert "unserved" in reasons(other)  # that claim would never get its items
    claim("p", 1)
    assert "unserved" not in reasons(other)


def test_only_workers_that_may_work_on_the_project_count(ledger_db: str) -> None:
    alps, andes = (submit("why", keys(2), pipeline="p", project=one) for one in ("alps", "andes"))
    claim("q", projects=["alps", "andes"], worker="gpu-1")
    claim("p", 1, projects=["andes", "urals"], worker="gpu-2")
    claim("p", 1, projects=["andes"])
    assert reasons(alps)["unserved"]["text"] == (
        "2 items wait for pipeline 'p'; no worker has ever asked for it; workers online serve 'q' "
        "(1)"
    )
    assert "unserved" not in reasons(andes)
    claim("p", 1, projects=["alps"])
    assert "unserved" not in reasons(alps)


def test_a_worker_whose_token_is_for_all_projects_again_counts(ledger_db: str) -> None:
    claim("p", projects=["andes"], worker="gpu-1")
    job = submit("why", keys(2), pipeline="p", project="alps")
    assert "unserved" in reasons(job)
    claim("p", 1, worker="gpu-1")
    assert "unserved" not in reasons(job)
    assert serving("alps") == serving("andes") == {"p": 1}


def test_what_viewers_share_names_no_worker_and_says_the_same(ledger_db: str, clock: Clock) -> None:
    """A worker serves the pipeline, so its items do not wait in vain, whoever looks."""
    claim("p", worker="gpu-1", owner=3)
    job = submit("why", keys(2), pipeline="p")
    clock.forward(90)
    claim("q", worker="gpu-2", owner=3)
    named, shared = (why(job.pk, owner=one)["reasons"] for one in (None, NOBODY))
    assert "workers online serve 'q' (1)" in named[0]["text"]
    assert shared[0]["text"] == (
        "2 items wait for pipeline 'p'; no worker has asked for it for 90 s"
    )
    workers.forget()
    workers.seen(3, "gpu-1")
    assert [one["code"] for one in why(job.pk, owner=NOBODY)["reasons"]] == ["ready"]
    assert why(job.pk) == why(job.pk, owner=NOBODY) == why(job.pk, owner=7)


def test_while_workers_are_busy_on_the_job_its_pipeline_is_served(
    ledger_db: str, clock: Clock
) -> None:
    job = submit("why", keys(3), stages=TWO_STAGES, policy={"lease_seconds": 3600})
    lease = worker.lease("p", limit=2, worker="gpu-1")
    for _ in range(4):
        clock.forward(50)
        renew(lease.token)
    assert [one["code"] for one in why(job.pk)["reasons"]] == ["in_flight", "ready"]
    succeed(lease, 0)
    assert reasons(job)["unserved"]["text"].startswith("1 item waits for pipeline 'q'; no worker")
    assert reasons(job)["ready"]["count"] == 1
