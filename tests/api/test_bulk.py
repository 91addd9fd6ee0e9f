"""One act on all jobs that match a filter, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.test_changes import authors
from tests.api.test_jobs import made


def statuses(api: Api, *jobs: Any) -> list[str]:
    return [api.get(f"jobs/{job['id']}")["status"] for job in jobs]


def test_it_is_asked_about_and_done(admin: Api) -> None:
    one, other = made(admin, name="a"), made(admin, name="b")
    held = made(admin, name="c", start=False)
    asked = admin.get("jobs/bulk/pause?project=default")
    assert asked["title"] == "Pause 2 of 3 jobs?"
    assert asked["happens"][:2] == [
        "All jobs that match: project default.",
        "1 is left as it is: not started.",
    ]
    assert (asked["verb"], asked["refusal"], asked["jobs"]) == ("Pause 2 jobs", "", 2)
    assert statuses(admin, one, other) == ["PENDING", "PENDING"]
    body = {"filter": {"project": "default"}, "expected": 2, "mark": asked["mark"]}
    answer = admin.post("jobs/bulk/pause", body | {"reason": "disk full"})
    assert answer["text"] == "2 paused, 1 was not running."
    assert [(row["id"], row["fate"]) for row in answer["outcomes"]] == [
        (one["id"], "done"),
        (other["id"], "done"),
        (held["id"], "left"),
    ]
    assert statuses(admin, one, other, held) == ["PAUSED", "PAUSED", "CREATED"]
    assert authors(admin, one["id"])[-1] == ("paused", "token:of a test", "disk full")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"expected": 1}, "expected 1 job to cancel, found 2; nothing was changed"),
        ({"items": 1}, "The number of items has changed from 1 to "),
        ({"mark": "0" * 16}, "Other jobs match now than before."),
    ],
)
def test_another_number_is_refused(admin: Api, more: dict[str, Any], said: str) -> None:
    jobs = [made(admin), made(admin)]
    answer = admin.post("jobs/bulk/cancel", {"expected": 2, **more})
    assert (admin.status, answer["code"]) == (409, "number_changed")
    assert answer["detail"].startswith(said)
    assert (answer["expected"], answer["found"]) == (more.get("expected", 2), 2)
    assert statuses(admin, *jobs) == ["PENDING", "PENDING"]


def test_what_can_not_be_done_is_said(admin: Api) -> None:
    made(admin)
    said = "The job is not paused: waiting."
    assert admin.get("jobs/bulk/resume")["refusal"] == said
    answer = admin.post("jobs/bulk/resume", {"expected": 0})
    assert (admin.status, answer["code"], answer["detail"]) == (409, "wrong_status", said)
    for path, body in (
        ("jobs/bulk/delete", {"expected": 1}),
        ("jobs/bulk/pause", {}),
        ("jobs/bulk/pause", {"expected": 1, "filter": {"stat": "started"}}),
        ("jobs/bulk/pause", {"expected": 1, "filter": {"status": "busy"}}),
        ("jobs/bulk/pause", {"expected": 1, "reason": "x" * 1_001}),
    ):
        admin.post(path, body)
        assert admin.status == 422


def test_it_concerns_only_the_own_projects_and_takes_the_scope(
    api: Callable[..., Api], admin: Api
) -> None:
    theirs, mine = made(admin, project="alps"), made(admin, project="andes")
    caller = api("submit", projects=["andes"])
    assert caller.get("jobs/bulk/cancel")["jobs"] == 1
    assert caller.get("jobs/bulk/cancel?project=alps")["jobs"] == 0
    assert len(caller.post("jobs/bulk/cancel", {"expected": 1})["outcomes"]) == 1
    assert statuses(admin, theirs, mine) == ["PENDING", "REVOKED"]
