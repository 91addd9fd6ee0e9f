"""The older fleet's requirements for its server: one test per requirement, by number."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from joblot.contrib.antenna.limits import AntennaLimits
from joblot.ledger.job.lifecycle import cancel, delete, pause
from joblot.ledger.job.retry import retry
from joblot.ledger.read.progress import progress
from joblot.ledger.read.workers import workers
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from tests.contrib.antenna.conftest import Api, images, job_of
from tests.contrib.antenna.fleet import SLUGS, detected, not_loaded


@pytest.mark.parametrize("slash", ["", "/"])
def test_1_every_path_is_answered_at_once_with_and_without_its_slash(api: Api, slash: str) -> None:
    job = job_of(2)
    path = f"jobs/{job.pk}"
    middleware = ["django.middleware.common.CommonMiddleware"]
    with override_settings(APPEND_SLASH=True, MIDDLEWARE=middleware):
        assert api.get(f"jobs{slash}", {"pipeline__slug__in": SLUGS[0]})["results"]
        assert api.status == 200
        (task,) = api.post(f"{path}/tasks{slash}", {"batch_size": 1})["tasks"]
        posted = [{"reply_subject": task["reply_subject"], "result": detected(task)}]
        assert api.post(f"{path}/result{slash}", {"results": posted})["results_queued"] == 1
        project = api.get(f"projects{slash}")["results"][0]["id"]
        api.post(f"projects/{project}/pipelines{slash}", {"pipelines": []})
        assert api.status == 201


def test_2_jobs_have_numbers_and_tasks_texts(api: Api) -> None:
    job = job_of(30)
    assert api.listed() == [{"id": job.pk, "pipeline_slug": SLUGS[0]}]
    tasks = api.tasks(job)
    assert [task["id"] for task in tasks] == [str(n) for n in range(24)]
    for task in tasks:
        assert task["image_id"] == task["id"]
        assert task["image_url"] == f"http://images.test/{task['id']}.jpg"
        assert type(task["reply_subject"]) is str


@pytest.mark.parametrize("state", ["empty", "paused", "cancelled", "finished", "deleted", "unborn"])
def test_3_a_job_without_work_has_no_tasks_whatever_the_reason(api: Api, state: str) -> None:
    job = job_of(3, start=state != "unborn", seal=False)
    if state == "finished":
        api.done(job, *api.tasks(job))
    elif state == "empty":
        api.tasks(job)
    elif state != "unborn":
        ends = {"paused": pause, "cancelled": cancel, "deleted": delete}
        ends[state](job.pk)
    assert api.tasks(job) == []
    assert api.status == 200
    assert api.listed() == []


def test_4_a_result_is_taken_whenever_it_comes(api: Api) -> None:
    job = job_of(3)
    first, late, lost = api.tasks(job)
    assert api.done(job, first) == ["counted"]
    assert api.done(job, first) == ["duplicate"]
    stranger = late | {"reply_subject": "$JS.ACK.job_1.c.1.3"}
    unheard = late | {"reply_subject": late["reply_subject"].replace("-", "-0")[:43] + ".1"}
    assert api.done(job, stranger, unheard) == ["rejected", "rejected"]
    cancel(job.pk, grace_seconds=0)
    assert api.done(job, late) == ["late"]
    retry(job.pk)
    assert api.done(job, lost) == ["late"]
    assert progress(job.pk)["finished_after_cancel"] == 2


def test_4_a_bad_result_loses_no_other_of_its_batch(api: Api) -> None:
    job = job_of(24)
    tasks = api.tasks(job)
    posted: list[dict[str, Any]] = [
        {"reply_subject": t["reply_subject"], "result": detected(t)} for t in tasks
    ]
    del posted[3]["result"]
    posted[7]["reply_subject"] = None
    entries = [json.dumps(one) for one in posted]
    entries[11] = entries[11].replace("161.0", "NaN")
    entries[12] = "7"
    body = '{"results": [' + ",".join(entries) + "]}"
    reply = api.post_bytes(f"jobs/{job.pk}/result/", body.encode())
    assert (api.status, reply["status"], reply["job_id"]) == (200, "accepted", job.pk)
    assert reply["results_queued"] == 22
    stage = progress(job.pk)["stages"][0]
    assert (stage["succeeded"], stage["failed"], stage["in_flight"]) == (20, 2, 2)


def test_4_a_batch_that_is_posted_twice_counts_once(api: Api) -> None:
    job = job_of(24)
    tasks = api.tasks(job)
    results = [(t, detected(t) if n % 3 else not_loaded(t)) for n, t in enumerate(tasks)]
    first = api.results(job, *results)
    assert (first.count("counted"), first.count("requeued")) == (16, 8)
    assert set(api.results(job, *results)) == {"duplicate"}
    stage = progress(job.pk)["stages"][0]
    assert (stage["succeeded"], stage["ready"], stage["metrics"]["detections"]) == (16, 8, 16)


def test_5_a_batch_of_a_hundred_megabytes_is_taken() -> None:
    """Time and memory are tested in test_large_bodies.py."""
    assert AntennaLimits().body_bytes_max > 100_000_000


def test_5_the_size_that_is_taken_is_the_tokens_where_it_has_one(
    of_rights: Callable[..., Api],
) -> None:
    api = of_rights("work", body_bytes_max=1_000)
    job = job_of(2)
    reply = api.post(f"jobs/{job.pk}/result", {"results": [], "client_info": "x" * 1_000})
    assert (api.status, reply["limit"]) == (413, 1_000)


@pytest.mark.parametrize(("policy", "held"), [(5.0, 300.0), (300.0, 300.0), (900.0, 900.0)])
def test_6_a_lease_holds_for_300_seconds_at_least(api: Api, policy: float, held: float) -> None:
    job = job_of(2, policy={"lease_seconds": policy})
    api.tasks(job)
    lease = Lease.objects.get()
    left = (lease.expires_at - lease.claimed_at).total_seconds()
    assert held <= left < held + 60


def test_6_a_worker_takes_little_ahead_of_its_results(
    api: Api, caches_kept: None, configure_antenna
) -> None:
    configure_antenna(ahead_items=50)
    job = job_of(408)
    batches = [api.tasks(job) for _ in range(4)]
    assert [len(batch) for batch in batches] == [24, 24, 2, 0]
    assert api.listed() == [], "it would be told that there is nothing"
    api.done(job, *batches[0])
    assert api.listed() == [{"id": job.pk, "pipeline_slug": SLUGS[0]}]
    assert [len(api.tasks(job)) for _ in range(3)] == [24, 24, 0], "24, and as much as it did"


def test_6_a_worker_takes_no_more_for_what_it_does_while_other_jobs_wait(
    api: Api, configure_antenna
) -> None:
    configure_antenna(ahead_items=24)
    job, other = job_of(408), job_of(24)
    for _ in range(2):
        batch = api.tasks(job)
        assert len(batch) == 24
        assert api.tasks(job) == []
        assert api.listed() == [{"id": other.pk, "pipeline_slug": SLUGS[0]}]
        api.done(job, *batch)


def test_6_what_a_dead_worker_holds_keeps_the_next_one_from_nothing(
    api: Api, configure_antenna, clock
) -> None:
    """After a minute; the leases would expire only after five."""
    configure_antenna(ahead_items=24)
    job = job_of(100)
    api.tasks(job)
    assert api.tasks(job) == []
    clock.forward(61)
    assert len(api.tasks(job)) == 24


def test_6_another_address_is_another_worker(api: Api, configure_antenna) -> None:
    configure_antenna(ahead_items=24)
    job = job_of(100)
    assert len(api.tasks(job)) == 24
    api.headers["X-Forwarded-For"] = "10.0.0.7"
    assert len(api.tasks(job)) == 24
    assert api.tasks(job) == []


def test_6_a_token_holds_no_more_than_it_may(of_rights: Callable[..., Api]) -> None:
    api = of_rights("work", in_flight_items_max=30)
    job = job_of(100)
    assert [len(api.tasks(job)) for _ in range(3)] == [24, 6, 0]


def test_7_any_call_shows_that_a_worker_lives(api: Api) -> None:
    job_of(1)
    api.listed()
    (seen,) = workers()
    assert seen["state"] == "online"
    assert seen["instance"].endswith("@127.0.0.1")


def test_8_only_what_can_be_worked_is_listed_and_one_at_a_time(api: Api) -> None:
    for n in range(20):
        submit(f"unborn {n}", images(2), pipeline=SLUGS[0], start=False)
    other = job_of(2, pipeline="somebody-elses")
    jobs = [job_of(2) for _ in range(3)]
    found = []
    while listed := api.listed():
        (one,) = listed
        found.append(one["id"])
        api.tasks(one["id"])
    assert found == [job.pk for job in jobs]
    assert api.listed("somebody-elses")[0]["id"] == other.pk


def test_8_projects_take_turns(api: Api) -> None:
    large = job_of(500, project="large")
    small = job_of(50, project="small")
    listed = [api.listed()[0]["id"] for _ in range(20)]
    assert 5 < listed.count(small.pk) < 15
    assert 5 < listed.count(large.pk) < 15


def test_8_only_the_tokens_projects_and_pipelines_are_listed(of_rights: Callable[..., Api]) -> None:
    hidden = job_of(2, project="alps")
    foreign = job_of(2, project="andes", pipeline=SLUGS[1])
    shown = job_of(2, project="andes")
    api = of_rights("work", projects=["andes"], pipelines=[SLUGS[0]])
    assert api.listed() == [{"id": shown.pk, "pipeline_slug": SLUGS[0]}]
    assert api.tasks(foreign) == []
    reply = api.post(f"jobs/{hidden.pk}/tasks/", {"batch_size": 24})
    assert (api.status, reply["detail"][:4]) == (404, "job ")


def test_9_a_registration_of_megabytes_is_kept(api: Api, outputs_folder) -> None:
    labels = [f"Species number {n}" for n in range(29_176)]
    algorithm = {
        "key": "global_moths",
        "category_map": {
            "data": [{"index": n, "label": label} for n, label in enumerate(labels)],
            "labels": labels,
        },
    }
    given = {
        "processing_service_name": "AMI Data Companion (gpu-1)",
        "pipelines": [{"slug": slug, "version": 1, "algorithms": [algorithm]} for slug in SLUGS],
    }
    assert len(json.dumps(given)) > 3_000_000
    (project,) = api.get("projects")["results"]
    path = f"projects/{project['id']}/pipelines/"
    reply = api.post(path, given)
    assert (api.status, reply["pipelines_created"]) == (201, list(SLUGS))
    again = api.post(path, given)
    assert (again["pipelines_created"], again["pipelines_updated"]) == ([], list(SLUGS))
    seen = next(one for one in workers() if one["instance"] == "AMI Data Companion (gpu-1)")
    assert seen["about"]["pipelines"] == sorted(SLUGS)
    assert json.loads((outputs_folder / seen["about"]["registration"]).read_text()) == given
    assert len(list(outputs_folder.rglob("*.json"))) == 1


def test_10_all_projects_are_on_one_page(api: Api, of_rights: Callable[..., Api]) -> None:
    names = [f"project {n}" for n in range(41)]
    for name in names:
        submit("night", ["a"], pipeline="p", project=name)
    reply = api.get("projects")
    assert {one["name"] for one in reply["results"]} == {*names, "default"}
    assert len({one["id"] for one in reply["results"]}) == reply["count"] == 42
    assert reply["next"] is None
    mine = of_rights("work", projects=["project 7"]).get("projects")["results"]
    assert mine == [one for one in reply["results"] if one["name"] == "project 7"]
