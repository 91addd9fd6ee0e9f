"""A refused submission names the job that it leaves open."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import Api
from tests.api.test_jobs import made


def test_a_submission_that_is_refused_in_the_middle_names_its_job(
    admin: Api, configure: Any
) -> None:
    configure(add_chunk_items=2)
    body = {"name": "n", "pipeline": "p", "idempotency_key": "k", "items": ["a", "b", "c", ""]}
    reply = admin.post("jobs", body)
    assert (admin.status, reply["code"], reply["total"]) == (422, "invalid_item", 2)
    assert f"job {reply['job_id']} stays open with 2 items" in reply["detail"]
    again = admin.post("jobs", body | {"items": ["a", "b", "c"]})
    assert (again["id"], again["total"], again["sealed"]) == (reply["job_id"], 3, True)
    conflict = admin.post("jobs", body | {"items": ["a", {"key": "b", "payload": 1}, "c"]})
    assert (admin.status, conflict["code"]) == (409, "key_conflict")
    assert (conflict["job_id"], conflict["total"]) == (reply["job_id"], 3)


def test_each_repeat_without_a_key_names_the_job_of_its_own(admin: Api, configure: Any) -> None:
    configure(add_chunk_items=1)
    body = {"name": "n", "pipeline": "p", "items": ["a", ""]}
    named = [admin.post("jobs", body)["job_id"] for _ in range(2)]
    assert named == [job["id"] for job in reversed(admin.get("jobs")["jobs"])]
    for job_id in named:
        admin.delete(f"jobs/{job_id}")
    assert admin.get("jobs")["jobs"] == []


def test_a_submission_refused_at_its_first_items_makes_no_job(admin: Api) -> None:
    reply = admin.post("jobs", {"name": "n", "pipeline": "p", "items": [""]})
    assert (admin.status, "job_id" in reply) == (422, False)
    assert admin.get("jobs")["jobs"] == []


def test_a_stream_of_lines_that_is_refused_names_its_job(admin: Api, configure: Any) -> None:
    configure(add_chunk_items=1)
    job = made(admin, items=[], seal=False)
    reply = admin.post_bytes(
        f"jobs/{job['id']}/items", b'"a"\n\n"b"\n{"key": ""}\n', "application/x-ndjson"
    )
    assert (admin.status, reply["code"]) == (422, "invalid_item")
    assert (reply["job_id"], reply["total"]) == (job["id"], 2)
    assert reply["detail"].startswith("line 4: key: expected text")
    assert "send all of the items again" in reply["detail"]
