"""CL and IN for an older fleet that speaks its own protocol."""

from __future__ import annotations

from collections import Counter
from typing import Any

from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.lease import expire
from joblot.ledger.read.in_flight import in_flight
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Uncounted
from tests.contrib.antenna.conftest import (
    Api,
    api,
    configure_antenna,
    images,
    job_of,
    nobody_seen,
    outputs_folder,
    token,
)
from tests.contrib.antenna.fleet import detected

__all__ = ["api", "configure_antenna", "nobody_seen", "outputs_folder", "token"]


def drain(worker: Api) -> int | None:
    """Like a worker after each poll: work on the given job until it has no tasks."""
    listed = worker.listed()
    if not listed:
        return None
    job = Job.objects.get(pk=listed[0]["id"])
    while tasks := worker.tasks(job):
        worker.done(job, *tasks)
    return int(job.pk)


def test_CL1_CL2_a_worker_is_sent_to_the_one_job_that_it_can_work(api: Api) -> None:
    for n in range(20):
        submit(f"created {n}", images(4), pipeline="moth_binary", start=False)
    dead = job_of(400)
    api.tasks(dead)
    cancel(dead.pk, grace_seconds=60)
    live = job_of(4)
    assert [api.listed()[0]["id"] for _ in range(5)] == [live.pk] * 5
    assert api.tasks(dead) == []
    assert drain(api) == live.pk
    assert api.listed() == []


def test_CL4_CL6_a_small_job_waits_for_a_bounded_share_of_a_large_one(
    api: Api, configure_antenna: Any
) -> None:
    """A worker gets a bounded number of tasks, and its next poll is another project's turn."""
    configure_antenna(ahead_items=50)
    large = job_of(2_000, project="large")
    taken = []
    while tasks := api.tasks(large):
        taken.append(tasks)
    assert sum(map(len, taken)) == 50
    small = job_of(10, project="small")
    for batch in taken:
        api.done(large, *batch)
    polls = [api.listed()[0]["id"] for _ in range(6)]
    assert small.pk in polls


def test_CL5_one_project_of_many_jobs_leaves_the_other_its_half(api: Api) -> None:
    for _ in range(20):
        job_of(2, project="a")
    lone = job_of(2, project="b")
    polls = [api.listed()[0]["id"] for _ in range(20)]
    assert 5 < polls.count(lone.pk) < 15


def test_CL7_a_listed_job_names_the_pipeline_that_was_asked_for(api: Api) -> None:
    job_of(4, pipeline="export")
    mine = job_of(4, pipeline="insect_orders_2025")
    assert api.listed() == [{"id": mine.pk, "pipeline_slug": "insect_orders_2025"}]


def test_CL10_a_list_takes_no_work(api: Api) -> None:
    job = job_of(4)
    for _ in range(3):
        api.listed()
    assert len(api.tasks(job)) == 4


def test_IN1_IN5_what_can_not_be_kept_fails_its_item_and_is_computed_once(
    api: Api, configure: Any
) -> None:
    configure(output_bytes_max=20_000)
    job = job_of(2)
    huge, good = api.tasks(job)
    api.results(job, (huge, detected(huge, classes=2_000)), (good, detected(good)))
    assert api.tasks(job) == []
    assert progress(job.pk)["status"] == "COMPLETED_WITH_ERRORS"
    (outcome,) = items(job.pk)[0]["outcomes"]
    assert outcome["error"]["message"].startswith("expected at most 20000 bytes")


def test_IN1_a_batch_that_is_too_large_is_split_by_giving_less(
    api: Api, configure_antenna: Any
) -> None:
    """The worker can't split what it posts, but items lost twice with others are given alone."""
    configure_antenna(body_bytes_max=2_500)
    job = job_of(8)
    computed: Counter[str] = Counter()
    sizes = []
    while tasks := api.tasks(job):
        computed.update(task["id"] for task in tasks)
        sizes.append(len(tasks))
        posted = [{"reply_subject": t["reply_subject"], "result": detected(t)} for t in tasks]
        api.post(f"jobs/{job.pk}/result/", {"client_info": "x" * 1_000, "results": posted})
        for lease in in_flight(job=job.pk):
            expire(lease["token"])
    assert progress(job.pk)["status"] == "SUCCESS"
    assert max(computed.values()) == 3
    assert sizes[-1] == 1


def test_IN2_IN4_what_was_answered_is_kept_and_never_computed_again(api: Api) -> None:
    job = job_of(24)
    tasks = api.tasks(job)
    assert set(api.done(job, *tasks)) == {"counted"}
    assert progress(job.pk)["status"] == "SUCCESS"
    assert api.tasks(job) == []


def test_IN3_a_result_of_a_job_that_was_cancelled_is_kept(api: Api) -> None:
    job = job_of(2)
    tasks = api.tasks(job)
    cancel(job.pk, grace_seconds=0)
    assert api.done(job, *tasks) == ["late", "late"]
    assert progress(job.pk)["status"] == "REVOKED"
    assert Uncounted.objects.filter(job_id=job.pk).count() == 2
