"""Jobs over HTTP: create, fill, read, change."""

from __future__ import annotations

import gzip
import json
from typing import Any
from unittest.mock import ANY

import pytest
from django.db import connections

from joblot.config import limits
from joblot.testing.simulator.trouble import Kind, Trouble, injected
from tests.api.conftest import Api
from tests.failing_inserts import (
    CONFLICT,
    DISK_FULL,
    NO_SUCH_CHARACTER,
    SECRET,
    failing,
    raising,
)

TWO_STAGES = [{"name": "classify", "pipeline": "moths"}, {"name": "save", "pipeline": "store"}]


def made(api: Api, **fields: object) -> dict[str, Any]:
    job: dict[str, Any] = api.post(
        "jobs", {"name": "night", "pipeline": "moths", "items": ["a", "b"]} | fields
    )
    assert api.status == 201, job
    return job


def test_a_job_is_made_and_read(admin: Api) -> None:
    job = made(admin, pipeline=None, stages=TWO_STAGES, project="alps", config={"size": 3})
    assert admin.get(f"jobs/{job['id']}") == job | {"as_of": ANY}
    assert (job["status"], job["project"], job["total"]) == ("PENDING", "alps", 2)
    assert [(one["name"], one["ready"]) for one in job["stages"]] == [("classify", 2), ("save", 0)]


def test_a_job_may_be_filled_and_started_later(admin: Api) -> None:
    job = made(admin, items=[], start=False, seal=False)
    path = f"jobs/{job['id']}"
    assert admin.post(f"{path}/items", {"items": [{"key": "c", "payload": {"n": 1}}, "d"]}) == {
        "added": 2,
        "total": 2,
    }
    assert admin.post(f"{path}/items", {"items": ["d", "e"]}) == {"added": 1, "total": 3}
    assert admin.post(f"{path}/seal")["sealed"]
    assert admin.post(f"{path}/start")["status"] == "PENDING"
    assert admin.post(f"{path}/items", {"items": ["f"]})["code"] == "wrong_status"
    assert admin.status == 409


def test_items_come_as_lines_zipped_or_not(admin: Api) -> None:
    job = made(admin, items=[], seal=False)
    lines = "".join(json.dumps({"key": f"k{n}"}) + "\n" for n in range(5_000)).encode()
    path, kind = f"jobs/{job['id']}/items", "application/x-ndjson"
    assert admin.post_bytes(path, lines, kind)["added"] == 5_000
    zipped = gzip.compress(lines + b'{"key": "one more"}\n\n')
    reply = admin.post_bytes(path, zipped, kind, **{"Content-Encoding": "gzip"})
    assert reply == {"added": 1, "total": 5_001}


def test_a_line_that_is_no_json_is_reported_by_its_number(admin: Api) -> None:
    job = made(admin, items=[], seal=False)
    reply = admin.post_bytes(
        f"jobs/{job['id']}/items", b'{"key": "a"}\n{"ke', "application/x-ndjson"
    )
    assert (admin.status, reply["code"]) == (400, "not_readable")
    assert "line 2" in reply["detail"]


def test_the_same_key_finds_the_same_job(admin: Api) -> None:
    first = made(admin, idempotency_key="night-1")
    again = made(admin, idempotency_key="night-1")
    by_header = admin.post(
        "jobs", {"name": "night", "pipeline": "moths"}, **{"Idempotency-Key": "night-1"}
    )
    assert first["id"] == again["id"] == by_header["id"]
    assert len(admin.get("jobs")["jobs"]) == 1


def test_two_different_keys_are_refused(admin: Api) -> None:
    body = {"name": "x", "pipeline": "p", "idempotency_key": "a"}
    reply = admin.post("jobs", body, **{"Idempotency-Key": "b"})
    assert (admin.status, reply["code"]) == (422, "invalid_input")


def test_jobs_come_in_pages_the_newest_first(admin: Api) -> None:
    ids = [made(admin, name=f"job {n}")["id"] for n in range(5)]
    page = admin.get("jobs", {"limit": 2})
    assert [job["id"] for job in page["jobs"]] == ids[:2:-1]
    page = admin.get("jobs", {"limit": 3, "before": page["next"]})
    assert [job["id"] for job in page["jobs"]] == ids[2::-1]
    assert admin.get("jobs", {"status": "SUCCESS"})["jobs"] == []


def test_an_operator_pauses_resumes_cancels_and_retries(admin: Api) -> None:
    path = f"jobs/{made(admin)['id']}"
    assert admin.post(f"{path}/pause")["status"] == "PAUSED"
    assert admin.post(f"{path}/resume")["status"] == "STARTED"
    assert admin.post(f"{path}/cancel", {"grace_seconds": 0})["status"] == "REVOKED"
    assert admin.post(f"{path}/cancel")["status"] == "REVOKED"
    assert admin.post(f"{path}/retry", {"run": 2})["run"] == 2


def test_a_retry_that_is_asked_for_twice_begins_one_run(admin: Api) -> None:
    path = f"jobs/{made(admin)['id']}"
    admin.post(f"{path}/cancel", {"grace_seconds": 0})
    assert admin.post(f"{path}/retry", {"run": 2})["run"] == 2
    assert admin.post(f"{path}/retry", {"run": 2})["run"] == 2
    assert admin.status == 200
    admin.post(f"{path}/retry", {"run": 5})
    assert admin.status == 422


def test_a_deleted_job_is_gone(admin: Api) -> None:
    path = f"jobs/{made(admin)['id']}"
    admin.delete(path)
    assert admin.status == 202
    assert admin.get(path)["code"] == "not_found"
    assert admin.get("jobs")["jobs"] == []


def test_everything_of_a_job_can_be_read(admin: Api) -> None:
    path = f"jobs/{made(admin)['id']}"
    assert admin.get(f"{path}/why")["reasons"][0]["code"] == "unserved"
    assert admin.get(f"{path}/audit")["ok"]
    assert [one["kind"] for one in admin.get(f"{path}/events")["events"]] == ["started"]
    log = admin.get(f"{path}/logs", {"newest": True, "level": "info", "search": "START"})
    assert [(one["message"], one["event"]) for one in log["logs"]] == [
        ("started by token:of a test", "started")
    ]
    assert admin.get(f"{path}/logs", {"before": log["logs"][0]["id"]}) == {"logs": [], "next": None}
    assert admin.get(f"{path}/logs", {"level": "loud"})["code"] == "invalid_input"
    page = admin.get(f"{path}/items", {"limit": 1, "state": "open"})
    assert [one["key"] for one in page["items"]] == ["a"]
    assert [one["key"] for one in admin.get(f"{path}/items", {"after": page["next"]})["items"]] == [
        "b"
    ]


def test_items_are_read_as_lines(admin: Api) -> None:
    path = f"jobs/{made(admin)['id']}/items"
    lines = admin.get(path, Accept="application/x-ndjson").splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["a", "b"]


def test_events_are_read_as_a_stream_behind_the_last_one_seen(admin: Api) -> None:
    path = f"jobs/{made(admin)['id']}/events"
    seen = str(admin.get(path)["events"][0]["id"])
    everything = admin.get(path, Accept="text/event-stream")
    assert f"id: {seen}\nevent: started\ndata: {{" in everything
    rest = admin.get(path, None, Accept="text/event-stream", **{"Last-Event-ID": seen})
    assert "event:" not in rest
    admin.get(path, None, Accept="text/event-stream", **{"Last-Event-ID": "x"})
    assert admin.status == 422


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "not_readable"),
        (b"\xff", 400, "not_readable"),
        (b'{"name": NaN}', 400, "not_readable"),
        (b"[" * 100_000, 400, "not_readable"),
        (b'{"name": 1, "pipeline": "p"}', 422, "invalid_input"),
        (b'{"name": "x", "pipeline": "p", "surprise": 1}', 422, "invalid_input"),
        (b'{"name": "x"}', 422, "invalid_input"),
        (b'{"name": "x", "pipeline": "p", "items": [{"key": ""}]}', 422, "invalid_item"),
        (b'{"name": "x", "pipeline": "p", "policy": {"x": 1}}', 422, "invalid_policy"),
        (b'{"name": "a\\u0000", "pipeline": "p"}', 422, "invalid_input"),
    ],
)
def test_bad_input_is_reported_and_changes_nothing(
    admin: Api, body: bytes, status: int, code: str
) -> None:
    reply = admin.post_bytes("jobs", body, "application/json")
    assert (admin.status, reply["code"], reply["status"]) == (status, code, status)
    assert admin.headers["Content-Type"] == "application/problem+json"


def test_a_body_over_the_limit_is_refused_with_the_limit(admin: Api, configure) -> None:
    configure(body_bytes_max=1_000)
    reply = admin.post("jobs", {"name": "x", "pipeline": "p", "items": ["k" * 2_000]})
    assert (admin.status, reply["code"], reply["limit"]) == (413, "too_large", 1_000)
    zipped = gzip.compress(b"[" * 1_000_000)
    reply = admin.post_bytes("jobs", zipped, "application/json", **{"Content-Encoding": "gzip"})
    assert (admin.status, reply["limit"]) == (413, limits().body_bytes_max)


def test_what_is_not_there_is_a_problem_too(admin: Api) -> None:
    assert (admin.get("jobs/999")["code"], admin.status) == ("not_found", 404)
    assert (admin.get("nowhere")["code"], admin.status) == ("not_found", 404)
    assert (admin.delete("jobs")["code"], admin.status) == ("method_not_allowed", 405)
    admin.get("jobs/99999999999999999999999")
    assert admin.status == 422


def test_a_project_with_atomic_requests_still_gets_durable_answers(admin: Api, ledger_db) -> None:
    entry = connections[ledger_db].settings_dict
    before = entry["ATOMIC_REQUESTS"]
    entry["ATOMIC_REQUESTS"] = True
    try:
        path = f"jobs/{made(admin)['id']}"
        assert admin.post(f"{path}/pause")["status"] == "PAUSED"
    finally:
        entry["ATOMIC_REQUESTS"] = before


OTHER_CONTENT: dict[str, dict[str, Any]] = {
    "stages": {"pipeline": None, "stages": TWO_STAGES},
    "policy": {"policy": {"failures_max": 3}},
    "config": {"config": {"size": 4}},
    "priority": {"priority": 0},
    "a payload": {"items": ["a", {"key": "b", "payload": 1}]},
    "one item more": {"items": ["a", "b", "c"]},
    "one item less": {"items": ["a"]},
}


@pytest.mark.parametrize("other", OTHER_CONTENT.values(), ids=OTHER_CONTENT)
def test_the_same_key_with_other_content_is_a_conflict(admin: Api, other: dict[str, Any]) -> None:
    made(admin, idempotency_key="night-1")
    reply = admin.post(
        "jobs",
        {"name": "night", "pipeline": "moths", "items": ["a", "b"], "idempotency_key": "night-1"}
        | other,
    )
    assert (admin.status, reply["code"]) == (409, "key_conflict")
    assert len(admin.get("jobs")["jobs"]) == 1


def test_null_is_the_same_as_leaving_out(admin: Api) -> None:
    first = made(admin, idempotency_key="night-1")
    nulls = dict.fromkeys(["stages", "config", "policy", "priority", "project"])
    assert made(admin, idempotency_key="night-1", **nulls)["id"] == first["id"]


def test_thirty_identical_requests_at_once_get_one_job(api: Any, in_thread: Any) -> None:
    callers = [api("submit") for _ in range(30)]
    items = [f"k{n}" for n in range(40)]
    answers = [in_thread(made, one, items=items, idempotency_key="k") for one in callers]
    reply = [answer.result() for answer in answers]
    assert {(job["id"], job["total"], job["sealed"]) for job in reply} == {
        (reply[0]["id"], 40, True)
    }


def test_a_retry_of_a_run_that_has_begun_and_ended_begins_no_other(admin: Api) -> None:
    job = made(admin, items=["a"])
    path = f"jobs/{job['id']}"
    for _ in range(2):
        lease = admin.post("claims", {"pipelines": ["moths"]})["leases"][0]
        bad = {"item": 0, "outcome": "failed", "error": {"type": "E", "message": ""}}
        admin.post("results", {"lease": lease["token"], "results": [bad]})
        assert admin.post(f"{path}/retry", {"run": 2})["run"] == 2


class TestWhenInsertingFails:
    ITEMS = (("k", SECRET),)

    def _answer(self, admin: Api, how: str) -> Any:
        items = [{"key": key, "payload": payload} for key, payload in self.ITEMS]
        if how == "in the body":
            return admin.post("jobs", {"name": "x", "pipeline": "p", "items": items})
        job = made(admin, items=[], seal=False)
        if how == "as JSON":
            return admin.post(f"jobs/{job['id']}/items", {"items": items})
        lines = "".join(json.dumps(item) + "\n" for item in items).encode()
        return admin.post_bytes(f"jobs/{job['id']}/items", lines, "application/x-ndjson")

    @pytest.mark.parametrize("how", ["in the body", "as JSON", "as lines"])
    @pytest.mark.parametrize("sqlstate", [DISK_FULL, CONFLICT])
    def test_it_is_answered_with_retry_after(
        self, postgres_only: str, admin: Api, configure: Any, how: str, sqlstate: str
    ) -> None:
        configure(conflict_retries_max=2)
        with failing(raising(sqlstate)):
            reply = self._answer(admin, how)
        assert (admin.status, reply["code"]) == (503, "unavailable")
        assert int(admin.headers["Retry-After"]) > 0
        assert SECRET not in reply["detail"]

    def test_a_conflict_passes_unnoticed(self, postgres_only: str, admin: Api) -> None:
        with failing(raising(CONFLICT), times=3):
            assert self._answer(admin, "as lines") == {"added": 1, "total": 1}

    def test_what_cannot_be_kept_is_the_callers(self, postgres_only: str, admin: Api) -> None:
        with failing(raising(NO_SUCH_CHARACTER)):
            reply = self._answer(admin, "as JSON")
        assert (admin.status, reply["code"]) == (422, "not_storable")
        assert SECRET not in reply["detail"]


def test_a_failed_statement_outside_the_verbs_is_answered_with_retry_after(admin: Api) -> None:
    """Anywhere in a view: the connection drops at the first, the second, … statement."""
    job = made(admin)
    requests: list[Any] = [
        lambda: admin.get(f"jobs/{job['id']}"),
        lambda: admin.get("workers"),
        lambda: admin.get(f"jobs/{job['id']}/map"),
        lambda: admin._taken(
            admin._client.get("/antenna/api/v2/projects/", headers=admin._headers)
        ),
    ]
    for ask in requests:
        statuses: list[int] = []
        while 200 not in statuses:
            with injected(Trouble(Kind.CUT, len(statuses))):
                ask()
            statuses.append(admin.status)
        assert set(statuses[:-1]) == {503}


def test_a_problem_is_written_as_it_reads(admin: Api) -> None:
    reply = admin.post("jobs", {"name": "näme", "pipeline": "p", "items": [{"key": "ü", "p": 1}]})
    assert admin.status == 422
    assert "ü" in reply["detail"]
    assert "ü" in admin.content.decode()
    admin.get("jobs", Authorization="Bearer joblot_x")
    assert "\\u" not in admin.content.decode()
    job = made(admin, items=[], seal=False)
    reply = admin.post_bytes(
        f"jobs/{job['id']}/items", b'{"items": [{"key": "a", "\\ud800": 1}]}', "application/json"
    )
    assert admin.status == 422


@pytest.mark.parametrize("priority", [True, False, "1", 1.5, [1]])
def test_a_priority_is_a_whole_number(admin: Api, priority: Any) -> None:
    reply = admin.post("jobs", {"name": "n", "pipeline": "p", "priority": priority})
    assert (admin.status, reply["code"]) == (422, "invalid_input")
    assert reply["detail"] == "body.priority: expected a whole number"


def test_no_whole_number_of_a_request_may_be_true(admin: Api) -> None:
    path = f"jobs/{made(admin)['id']}"
    admin.post(f"{path}/cancel", {"grace_seconds": 0})
    for at, body in (
        (f"{path}/retry", {"run": True}),
        ("claims", {"pipelines": ["p"], "limit": True}),
        ("claims", {"pipelines": ["p"], "job": True}),
    ):
        reply = admin.post(at, body)
        assert (admin.status, "expected a whole number" in reply["detail"]) == (422, True), reply


def test_what_is_wrong_with_a_request_is_said_in_one_voice(admin: Api) -> None:
    for at, body, message in (
        ("jobs", [], "expected an object"),
        ("jobs", {"pipeline": "p"}, "name: expected, and missing"),
        ("jobs", {"name": "", "pipeline": "p"}, "expected text, 1 or more characters long"),
        ("jobs", {"name": "n", "stages": "x"}, "stages: expected a list"),
        ("jobs", {"name": "n", "start": "perhaps"}, "expected true or false"),
        ("claims", {"pipelines": []}, "pipelines: expected a list of 1 or more"),
        ("claims", {"pipelines": ["p"], "limit": 0}, "limit: expected 1 or more"),
    ):
        reply = admin.post(at, body)
        assert (admin.status, message in reply["detail"]) == (422, True), reply
    reply = admin.get("jobs", {"status": "nope"})
    assert "Input should" not in reply["detail"]
    assert reply["detail"].startswith("status: expected one of CREATED, ")


def test_a_long_value_is_cut_with_a_sign_of_it(admin: Api) -> None:
    reply = admin.post("jobs", {"name": "n", "pipeline": "p", "items": ["k" * 600]})
    assert reply["detail"].endswith("kkk…")
