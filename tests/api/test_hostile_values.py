"""Each hostile value at each endpoint: a typed answer, and no effect on other values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from tests.api.conftest import Api
from tests.hostile import JSON, Hostile, nested, with_each
from tests.ledger import worker
from tests.ledger.conftest import exact, own_hooks
from tests.ledger.worker import counts, keys, status

__all__ = ["exact", "own_hooks"]

KIND = "application/json"
LINES = "application/x-ndjson"


@pytest.fixture(autouse=True)
def outputs_folder(tmp_path: Any, settings: Any) -> None:
    settings.MEDIA_ROOT = str(tmp_path)


def with_value(shape: Any, hostile: Hostile) -> bytes:
    """The shape as JSON, with the hostile text in place of "HERE"."""
    return json.dumps(shape).encode().replace(b'"HERE"', hostile.encoded)


def post(api: Api, path: str, shape: Any, hostile: Hostile, kind: str = KIND) -> Any:
    named = {"Joblot-Worker": "w"}
    answer = api.post_bytes(path, with_value(shape, hostile), kind, **named)
    assert api.status < 500, answer
    if api.status >= 400:
        assert answer["code"]
        assert answer["detail"]
    return answer


def test_an_item_of_a_new_job(admin: Api) -> None:
    def tried(hostile: Hostile) -> None:
        items_ = [{"key": "good", "payload": 1}, {"key": "bad", "payload": "HERE"}]
        answer = post(admin, "jobs", {"name": "j", "pipeline": "p", "items": items_}, hostile)
        if hostile.kept:
            assert (admin.status, answer["total"]) == (201, 2)
            assert status_after_work(answer["id"]) == "SUCCESS"
        elif hostile.json:
            assert (admin.status, answer["code"]) == (422, "invalid_item")
            assert "item 1: payload of 'bad'" in answer["detail"]
            assert ("100 levels" in answer["detail"]) == ("deep" in str(hostile))
        else:
            assert (admin.status, answer["code"]) == (400, "not_readable")

    with_each(tried)


def status_after_work(job: int) -> str:
    worker.drain("p")
    return str(progress(job)["status"])


def test_a_line_of_a_stream_of_items(admin: Api) -> None:
    def tried(hostile: Hostile) -> None:
        job = submit("j", pipeline="p", seal=False)
        body = b'"good"\n' + with_value({"key": "bad", "payload": "HERE"}, hostile) + b"\n"
        answer = admin.post_bytes(f"jobs/{job.pk}/items", body, LINES)
        if hostile.kept:
            assert (admin.status, answer["added"]) == (200, 2)
        else:
            assert admin.status in (400, 422)
            assert answer["detail"].startswith("line 2: ")
        worker.drain("p")
        assert status(job) == "STARTED" or not counts(job)

    with_each(tried)


@pytest.mark.parametrize("name", ["config", "policy", "about"])
def test_what_is_said_beside_the_items(admin: Api, name: str) -> None:
    def tried(hostile: Hostile) -> None:
        if name == "about":
            answer = post(admin, "claims", {"pipelines": ["p"], "about": {"a": "HERE"}}, hostile)
        else:
            given = "HERE" if name == "config" else {"lease_seconds": "HERE"}
            answer = post(admin, "jobs", {"name": "j", "pipeline": "p", name: given}, hostile)
        if not hostile.kept or name == "policy":
            assert admin.status in (400, 422), answer

    with_each(tried)


@pytest.mark.parametrize("stages", [1, 2])
def test_a_result_harms_no_other(admin: Api, stages: int) -> None:
    """The bad result is rejected; its worker reports it as failed, and the job ends."""

    def tried(hostile: Hostile) -> None:
        job = submit("j", keys(3), stages=worker.TWO_STAGES[:stages])
        lease = worker.lease()
        results = [{"item": n, "outcome": "succeeded", "output": n} for n in range(3)]
        results[1]["output"] = "HERE"
        answer = post(admin, "results", {"lease": lease.token, "results": results}, hostile)
        reply = [one["receipt"] for one in answer["receipts"]]
        assert reply == ["counted", "counted" if hostile.kept else "rejected", "counted"]
        if not hostile.kept:
            assert answer["receipts"][1]["reason"]
            assert worker.fail(lease, 1) == ["counted"]
        if stages == 2:
            worker.drain("q")
        good = 3 if hostile.kept else 2
        assert counts(job, stages - 1)["succeeded"] == good
        assert len(items(job.pk)) == 3

    with_each(tried, JSON)


@pytest.mark.parametrize("field", ["error", "type", "message", "output", "metrics", "more"])
def test_a_failure_with_it_is_still_a_failure(admin: Api, field: str) -> None:
    """Its cause is shortened and cleaned, and unknown fields are ignored."""

    def tried(hostile: Hostile) -> None:
        job = submit("j", keys(2), pipeline="p")
        lease = worker.lease()
        bad: dict[str, Any] = {"item": 0, "outcome": "failed"}
        bad |= {"error": {field: "HERE"}} if field in ("type", "message") else {field: "HERE"}
        good = {"item": 1, "outcome": "succeeded"}
        answer = post(admin, "results", {"lease": lease.token, "results": [bad, good]}, hostile)
        reply = [one["receipt"] for one in answer["receipts"]]
        assert reply[1] == "counted"
        may_be = {"counted", "rejected"} if field in ("error", "metrics") else {"counted"}
        assert reply[0] in may_be
        worker.fail(lease, 0)
        assert status(job) == "COMPLETED_WITH_ERRORS"

    with_each(tried, JSON)


def test_a_metric_harms_no_other(admin: Api) -> None:
    def tried(hostile: Hostile) -> None:
        submit("j", keys(2), pipeline="p")
        lease = worker.lease()
        results = [{"item": n, "outcome": "succeeded", "metrics": {"n": 1}} for n in range(2)]
        results[0]["metrics"] = {"n": "HERE"}
        answer = post(admin, "results", {"lease": lease.token, "results": results}, hostile)
        reply = [one["receipt"] for one in answer["receipts"]]
        assert reply == ["rejected", "counted"]
        worker.fail(lease, 0)

    with_each(tried, JSON)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("claims", {"pipelines": ["HERE"]}),
        ("claims", {"pipelines": ["p"], "idempotency_key": "HERE"}),
        ("jobs", {"name": "HERE", "pipeline": "p"}),
        ("jobs", {"name": "j", "stages": [{"name": "HERE", "pipeline": "p"}]}),
        ("jobs", {"name": "j", "pipeline": "p", "items": ["HERE"]}),
        ("jobs", {"name": "j", "pipeline": "p", "priority": "HERE"}),
        ("webhooks", {"url": "HERE"}),
        ("webhooks", {"url": "https://example.org/", "kinds": ["HERE"]}),
        ("leases/x/renew", {"seconds": "HERE"}),
        ("results", {"lease": "HERE", "results": []}),
        ("results", "HERE"),
        ("jobs", "HERE"),
        ("claims", "HERE"),
    ],
    ids=str,
)
def test_a_value_in_the_place_of_a_name(
    sqlite_only: str, api: Callable[..., Api], path: str, shape: Any
) -> None:
    admin = api("admin")
    with_each(lambda hostile: post(admin, path, shape, hostile))


def test_a_value_may_be_as_deep_as_its_own_limit_wherever_it_stands(admin: Api) -> None:
    """The levels of the surrounding request do not count."""
    value = json.loads(nested(100))
    job = submit("j", [{"key": "a", "payload": value}], stages=worker.TWO_STAGES, config=value)
    for pipeline in ("p", "q"):
        claimed = admin.post("claims", {"pipelines": [pipeline]})["leases"][0]
        assert claimed["items"][0]["payload"] == claimed["config"] == value
        result = {"item": 0, "outcome": "succeeded", "output": value}
        reply = admin.post("results", {"lease": claimed["token"], "results": [result]})
        assert reply["receipts"][0]["receipt"] == "counted"
    (item,) = admin.get(f"jobs/{job.pk}/items")["items"]
    assert item["outcomes"][1]["output"] == value
