"""Changes of a job over HTTP: who asked and why, edits, and a number that must be right."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import ANY

from tests.api.conftest import Api
from tests.api.test_jobs import made


def test_each_change_says_who_asked_and_why(admin: Api) -> None:
    job = made(admin, items=[], start=False, seal=False)
    path = f"jobs/{job['id']}"
    for verb in ("start", "pause", "resume", "seal"):
        assert admin.post(f"{path}/{verb}", {"reason": f"to {verb}"}), admin.content
        assert admin.status == 200
    again = made(admin)
    admin.post(f"jobs/{again['id']}/cancel", {"reason": "wrong data"})
    admin.post(f"jobs/{again['id']}/retry", {"reason": "right data"})
    assert authors(admin, job["id"]) == [
        ("created", "token:of a test", ""),
        ("started", "token:of a test", "to start"),
        ("paused", "token:of a test", "to pause"),
        ("resumed", "token:of a test", "to resume"),
        ("sealed", "token:of a test", "to seal"),
        ("finished", "", ""),
    ]
    assert authors(admin, again["id"]) == [
        ("started", "token:of a test", ""),
        ("canceling", "token:of a test", "wrong data"),
        ("finished", "token:of a test", "wrong data"),
        ("retried", "token:of a test", "right data"),
        ("started", "token:of a test", "right data"),
    ]


def authors(api: Api, job_id: int) -> list[tuple[str, str, str]]:
    events = api.get(f"jobs/{job_id}/events")["events"]
    return [(one["kind"], one["actor"], one["reason"]) for one in events]


def test_a_long_reason_is_refused(admin: Api) -> None:
    job = made(admin)
    answer = admin.post(f"jobs/{job['id']}/pause", {"reason": "x" * 1_001})
    assert (admin.status, answer["code"]) == (422, "invalid_input")
    assert answer["detail"] == "reason: expected at most 1,000 characters, got 1,001"


def test_a_job_is_edited(admin: Api) -> None:
    job = made(admin)
    path = f"jobs/{job['id']}"
    body = {"name": "day", "priority": 3, "policy": {"failures_max": 9}, "reason": "urgent"}
    assert admin.patch(path, body) == job | {"name": "day", "priority": 3, "as_of": ANY}
    (_, event) = admin.get(f"{path}/events")["events"]
    assert (event["kind"], event["actor"], event["reason"]) == (
        "edited",
        "token:of a test",
        "urgent",
    )
    assert event["data"] == {
        "name": ["night", "day"],
        "priority": [0, 3],
        "policy.failures_max": [3, 9],
    }
    assert admin.patch(path, {"policy": {"speed": 1}})["code"] == "invalid_policy"
    assert admin.patch(path, {"speed": 1})["code"] == "invalid_input"
    assert admin.status == 422


def test_a_cancel_with_another_number_is_refused(admin: Api) -> None:
    job = made(admin)
    path = f"jobs/{job['id']}/cancel"
    answer = admin.post(path, {"expected": 3})
    assert (admin.status, answer["code"]) == (409, "number_changed")
    assert (answer["expected"], answer["found"]) == (3, 2)
    assert admin.post(path, {"expected": 2})["status"] == "REVOKED"


def test_the_limits_of_a_pipeline_are_changed_and_listed(admin: Api) -> None:
    body = {"pipeline": "a/b", "policy": {"rate_items_max": 5, "rate_seconds": 1}, "reason": "API"}
    changed = admin.patch("pipelines", body)
    assert (admin.status, changed["pipeline"]) == (200, "a/b")
    assert changed["policy"] == {
        "in_flight_items_max": None,
        "rate_items_max": 5,
        "rate_seconds": 1,
    }
    assert (changed["changed_by"], changed["reason"]) == ("token:of a test", "API")
    assert admin.get("pipelines") == {"pipelines": [changed]}
    assert admin.patch("pipelines", body | {"policy": {"rate": 1}})["code"] == "invalid_policy"
    assert admin.status == 422


def test_a_caller_of_some_projects_changes_no_limit_of_all(api: Callable[..., Api]) -> None:
    some = api("admin", projects=["birds"])
    answer = some.patch("pipelines", {"pipeline": "p", "policy": {"rate_items_max": 5}})
    assert (some.status, answer["code"]) == (403, "not_allowed")
    assert some.get("pipelines")["code"] == "not_allowed"
