"""The handling of single results."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.db import connections

from joblot.ledger.lease import expire_overdue
from joblot.ledger.read.items import items, outputs
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.contrib.antenna.conftest import Api, images, job_of
from tests.contrib.antenna.fleet import batch_failed, detected, not_loaded

KEPT_BY_NO_DATABASE = ["\x00", "\ud800"]


def states(job: Job) -> dict[str, int]:
    stage = progress(job.pk)["stages"][0]
    names = ("ready", "in_flight", "succeeded", "failed", "lost")
    return {name: stage[name] for name in names if stage[name]}


def errors(job: Job) -> list[dict[str, str]]:
    outcomes = [one for item in items(job.pk) for one in item["outcomes"]]
    found = [outcome["error"] for outcome in outcomes if outcome["error"]]
    return [{name: error[name] for name in ("type", "message")} for error in found]


def test_the_output_is_the_result_as_it_came(api: Api, outputs_folder: Any) -> None:
    job = job_of(2)
    small, large = api.tasks(job)
    reply = [detected(small), detected(large, boxes=10, classes=3_000)]
    assert api.results(job, (small, reply[0]), (large, reply[1])) == ["counted", "counted"]
    assert dict(outputs(job.pk)) == {"image 0": reply[0], "image 1": reply[1]}
    (stored,) = outputs_folder.rglob("*.json")
    assert stored.stat().st_size > 500_000
    metrics = progress(job.pk)["stages"][0]["metrics"]
    assert metrics["detections"] == 11
    assert metrics["result_bytes"] > 500_000
    assert progress(job.pk)["status"] == "SUCCESS"


def test_an_image_without_detections_is_done(api: Api) -> None:
    job = job_of(1)
    (task,) = api.tasks(job)
    assert api.results(job, (task, detected(task, boxes=0))) == ["counted"]
    assert states(job) == {"succeeded": 1}


def test_an_image_that_does_not_load_is_tried_again_within_its_budget(api: Api) -> None:
    job = job_of(1, policy={"failures_max": 3, "retry_backoff_seconds": 0})
    receipts = []
    while tasks := api.tasks(job):
        receipts += api.results(job, (tasks[0], not_loaded(tasks[0])))
    assert receipts == ["requeued", "requeued", "counted"]
    assert errors(job) == [{"type": "WorkerError", "message": "failed to load image"}]
    assert progress(job.pk)["status"] == "FAILURE"


def test_with_a_budget_of_one_an_error_is_final(api: Api) -> None:
    job = job_of(1, policy={"failures_max": 1})
    (task,) = api.tasks(job)
    assert api.results(job, (task, not_loaded(task))) == ["counted"]


@pytest.mark.parametrize("text", KEPT_BY_NO_DATABASE)
def test_a_result_that_can_not_be_kept_fails_its_item_at_once(api: Api, text: str) -> None:
    job = job_of(2)
    odd, good = api.tasks(job)
    spoilt = detected(odd) | {"pipeline": text}
    assert api.results(job, (odd, spoilt), (good, detected(good))) == ["counted", "counted"]
    assert states(job) == {"succeeded": 1, "failed": 1}
    assert [error["type"] for error in errors(job)] == ["InvalidResult"]


@pytest.mark.parametrize("result", [None, 7, [], "error"])
def test_a_result_that_is_no_object_fails_its_item(api: Api, result: Any) -> None:
    job = job_of(1)
    (task,) = api.tasks(job)
    assert api.results(job, (task, result)) == ["counted"]
    assert states(job) == {"failed": 1}


def test_a_result_that_is_too_large_fails_its_item(api: Api, configure) -> None:
    configure(output_bytes_max=20_000, output_bytes_inline_max=10_000)
    job = job_of(3)
    huge, large, good = api.tasks(job)
    posted = [detected(huge, classes=2_000), detected(large, classes=400), detected(good)]
    assert len(json.dumps(posted[0])) > 20_000
    receipts = api.results(job, *zip((huge, large, good), posted, strict=True))
    assert receipts == ["counted"] * 3
    assert states(job) == {"succeeded": 2, "failed": 1}
    assert "expected at most 20000 bytes" in errors(job)[0]["message"]


def test_a_batch_that_fails_as_one_costs_its_items_nothing(api: Api) -> None:
    """A poison image among good ones: they are granted together once more, then each alone."""
    job = job_of(8, policy={"retry_backoff_seconds": 0})
    sizes = []
    while tasks := api.tasks(job):
        sizes.append(len(tasks))
        poisoned = any(task["id"] == "5" for task in tasks)
        say = batch_failed if poisoned else detected
        api.results(job, *((task, say(task)) for task in tasks))
    assert sizes == [8, 8] + [1] * 10, "alone, the poison image has its three tries"
    assert states(job) == {"succeeded": 7, "failed": 1}
    (error,) = errors(job)
    assert error["message"] == "Batch processing error: CUDA out of memory"


def test_a_batch_that_fails_gives_back_what_did_not_fail_by_itself(api: Api) -> None:
    job = job_of(6, policy={"failures_max": 1})
    tasks = api.tasks(job)
    unloaded = [(task, not_loaded(task)) for task in tasks[:2]]
    others = [(task, batch_failed(task)) for task in tasks[2:]]
    assert api.results(job, *unloaded, *others) == ["counted"] * 2 + ["requeued"] * 4
    assert states(job) == {"failed": 2, "ready": 4}
    assert set(api.results(job, *others)) == {"requeued"}
    assert states(job) == {"failed": 2, "ready": 4}, "again changes nothing"


def test_a_batch_may_be_posted_again_whatever_its_size(api: Api, outputs_folder: Any) -> None:
    job = job_of(3)
    tasks = api.tasks(job)
    posted = [(task, detected(task, classes=3_000)) for task in tasks[1:]]
    posted.append((tasks[0], detected(tasks[0])))
    assert api.results(job, *posted) == ["counted"] * 3
    kept = sorted(outputs_folder.rglob("*.json"))
    assert len(kept) == 2
    assert api.results(job, *posted) == ["duplicate"] * 3
    assert sorted(outputs_folder.rglob("*.json")) == kept
    assert dict(outputs(job.pk)) == {f"image {task['id']}": reply for task, reply in posted}


def test_a_number_that_is_too_large_fails_its_own_item(api: Api) -> None:
    job = job_of(2)
    first, second = api.tasks(job)
    posted = [{"reply_subject": t["reply_subject"], "result": detected(t)} for t in (first, second)]
    body = json.dumps({"results": posted}).replace("0.0023", "1e999", 1)
    reply = api.post_bytes(f"jobs/{job.pk}/result/", body.encode())
    assert [one["status"] for one in reply["tasks"]] == ["counted"] * 2
    assert states(job) == {"failed": 1, "succeeded": 1}


def test_results_are_reported_in_groups_of_bounded_size(
    api: Api, configure, configure_antenna
) -> None:
    configure_antenna(group_bytes=1_000)
    configure(results_per_report_max=2)
    job = job_of(24)
    tasks = api.tasks(job)
    assert api.done(job, *tasks) == ["counted"] * 24
    assert progress(job.pk)["status"] == "SUCCESS"


def test_what_came_before_a_body_broke_is_kept(api: Api) -> None:
    job = job_of(2)
    tasks = api.tasks(job)
    posted = [{"reply_subject": t["reply_subject"], "result": detected(t)} for t in tasks]
    body = json.dumps({"results": posted}).encode()
    reply = api.post_bytes(f"jobs/{job.pk}/result/", body[:-40])
    assert (api.status, reply["code"]) == (400, "not_readable")
    assert states(job) == {"succeeded": 1, "in_flight": 1}
    api.post_bytes(f"jobs/{job.pk}/result/", body)
    assert states(job) == {"succeeded": 2}


def test_more_results_than_are_taken_at_once(api: Api, configure_antenna) -> None:
    configure_antenna(results_max=3)
    job = job_of(5)
    reply = api.post(f"jobs/{job.pk}/result", {"results": [{}] * 4})
    assert (api.status, reply["limit"]) == (413, 3)


def test_a_result_holds_what_its_worker_was_granted_later(api: Api, clock) -> None:
    """A slow worker: it prefetched four batches, and needs 200 seconds for each."""
    job = job_of(88)
    batches = [api.tasks(job) for _ in range(4)]
    for batch in batches:
        clock.forward(200)
        assert expire_overdue() == 0
        assert set(api.done(job, *batch)) == {"counted"}
    assert progress(job.pk)["status"] == "SUCCESS"


def test_an_item_without_an_image_fails_and_harms_no_other(api: Api) -> None:
    given: list[dict[str, Any]] = [
        {"key": "a", "payload": {"image_url": "http://images.test/a.jpg"}},
        {"key": "b", "payload": {"image_url": 7}},
        {"key": "c", "payload": {"url": "http://images.test/c.jpg"}},
        {"key": "d"},
        {"key": "http://images.test/e.jpg"},
        {"key": "f", "payload": "http://images.test/f.jpg"},
    ]
    job = submit("night", given, pipeline="moth_binary")
    tasks = api.tasks(job)
    assert [task["image_url"][-5] for task in tasks] == ["a", "c", "e", "f"]
    assert [error["type"] for error in errors(job)] == ["NoImageUrl"] * 2
    api.done(job, *tasks)
    assert states(job) == {"succeeded": 4, "failed": 2}


def test_tasks_are_found_behind_items_without_images(api: Api) -> None:
    given: list[dict[str, Any]] = [{"key": f"none {n}"} for n in range(60)]
    job = submit("night", [*given, *images(3)], pipeline="moth_binary")
    assert [task["id"] for task in api.tasks(job)] == ["60", "61", "62"]
    assert states(job) == {"in_flight": 3, "failed": 60}


def test_a_job_of_two_stages_gives_each_worker_its_own_items(api: Api) -> None:
    stages = [{"name": "find", "pipeline": "moth_binary"}, {"name": "name", "pipeline": "insects"}]
    job = submit("night", images(2), stages=stages)
    (first,) = api.listed("moth_binary", "insects")
    assert first == {"id": job.pk, "pipeline_slug": "moth_binary"}
    api.done(job, *api.tasks(job, 1))
    (second,) = api.listed("insects")
    assert second == {"id": 10**12 + job.pk, "pipeline_slug": "insects"}
    assert [task["id"] for task in api.tasks(second["id"])] == ["0"]
    assert [task["id"] for task in api.tasks(first["id"])] == ["1"]
    api.post(f"jobs/{2 * 10**12 + job.pk}/tasks", {"batch_size": 1})
    assert api.status == 404


@pytest.mark.parametrize("body", [{}, {"batch_size": 0}, {"batch_size": "x"}, [], 7])
def test_a_batch_size_that_can_not_be_right(api: Api, body: Any) -> None:
    reply = api.post(f"jobs/{job_of(1).pk}/tasks", body)
    assert (api.status, reply["detail"][:8]) == (400, "expected")


def test_what_is_missing_is_reported_as_the_client_reads_it(api: Api) -> None:
    assert "detail" in api.post("jobs/99/tasks/", {"batch_size": 1})
    assert api.status == 404
    assert "detail" in api.get("jobs/99/nonsense")
    assert api.status == 404
    assert "detail" in api.post("jobs", {})
    assert api.status == 405
    api.headers["Authorization"] = "Token 0123456789012345678901234567890123456789"
    assert "detail" in api.get("jobs")
    assert api.status == 401


def test_a_token_that_is_not_for_work_is_refused(of_rights) -> None:
    reader = of_rights("read")
    assert "scope work" in reader.get("jobs")["detail"]
    assert reader.status == 403


def test_a_project_with_a_transaction_around_every_request(api: Api, ledger_db: str) -> None:
    entry = connections[ledger_db].settings_dict
    before, entry["ATOMIC_REQUESTS"] = entry["ATOMIC_REQUESTS"], True
    try:
        job = job_of(2)
        assert api.done(job, *api.tasks(job)) == ["counted", "counted"]
    finally:
        entry["ATOMIC_REQUESTS"] = before


def test_results_are_never_a_request_too_many(of_rights) -> None:
    api = of_rights("work", requests_per_minute_max=1)
    job, began = job_of(1), time.monotonic()
    (task,) = api.tasks(job)
    assert api.done(job, task) == ["counted"]
    api.get("jobs")
    assert api.status == 429
    assert 60 - (time.monotonic() - began) <= int(api.answer["Retry-After"]) <= 60
