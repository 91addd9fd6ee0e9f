"""Each hostile value from the older fleet fails its own item, with the cause, and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from tests.contrib.antenna.conftest import Api, job_of
from tests.contrib.antenna.fleet import detected
from tests.hostile import Hostile, with_each


@pytest.mark.parametrize("place", ["more", "detections", "error"])
def test_a_result(api: Api, place: str) -> None:
    def tried(hostile: Hostile) -> None:
        job = job_of(3)
        tasks = api.tasks(job)
        posted: list[dict[str, Any]] = [
            {"reply_subject": task["reply_subject"], "result": detected(task)} for task in tasks
        ]
        posted[1]["result"][place] = "HERE"
        text = json.dumps({"results": posted}).encode().replace(b'"HERE"', hostile.encoded)
        reply = api.post_bytes(f"jobs/{job.pk}/result/", text)
        assert api.status == 200, reply
        states = [one["status"] for one in reply["tasks"]]
        assert states[0] == states[2] == "counted"
        if place != "error":
            assert states[1] == "counted"
            # A result adds one level to its value.
            kept = hostile.kept and str(hostile) != "as deep as may be"
            stage = progress(job.pk)["stages"][0]
            assert stage["succeeded"] == (3 if kept else 2)
            assert progress(job.pk)["status"].startswith("SUCCESS" if kept else "COMPLETED")
            assert len(items(job.pk)) == 3

    with_each(tried)


@pytest.mark.parametrize("path", ["jobs/{job}/tasks/", "projects/{project}/pipelines/"])
def test_what_it_asks_and_registers(api: Api, path: str) -> None:
    def tried(hostile: Hostile) -> None:
        job = job_of(1)
        (project,) = api.get("projects")["results"]
        shape = {"batch_size": "HERE", "pipelines": [{"slug": "s", "more": "HERE"}]}
        body = json.dumps(shape).encode().replace(b'"HERE"', hostile.encoded)
        api.post_bytes(path.format(job=job.pk, project=project["id"]), body)
        assert api.status < 500

    with_each(tried)
