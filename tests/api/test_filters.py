"""Filters of jobs and items over HTTP, and what a page shows of a job and an item."""

from __future__ import annotations

from joblot.identity.tokens import issue
from joblot.ledger.maintain.sample import sample
from joblot.ledger.submit.submit import submit
from tests.api.conftest import Api
from tests.ledger import worker
from tests.ledger.worker import fail, keys, succeed


def test_jobs_are_filtered_sorted_and_paged(admin: Api) -> None:
    made = [submit(f"tiles {n % 2}", keys(1), pipeline="p").pk for n in range(5)]
    submit("birds", keys(1), pipeline="q")
    page = admin.get("jobs", {"q": "tiles", "status": "PENDING,started", "limit": 3})
    assert [job["id"] for job in page["jobs"]] == made[:1:-1]
    assert page["next"] == made[2]
    rest = admin.get("jobs", {"q": "tiles", "after": page["after"]})
    assert [job["id"] for job in rest["jobs"]] == made[1::-1]
    assert (rest["after"], rest["next"]) == (None, None)
    by_name = admin.get("jobs", {"sort": "name", "limit": 2})
    assert [job["name"] for job in by_name["jobs"]] == ["birds", "tiles 0"]
    assert by_name["next"] is None
    counts = admin.get("jobs/counts", {"q": "tiles", "since": "1h"})["counts"]
    assert counts["PENDING"] == {"jobs": 5, "over": False}


def test_the_owner_of_a_job_is_who_submitted_it(ledger_db: str) -> None:
    ci, other = (Api(issue(name, ["submit"])[0]) for name in ("ci", "other"))
    mine = ci.post("jobs", {"name": "tiles", "pipeline": "p", "items": []})
    theirs = other.post("jobs", {"name": "tiles", "pipeline": "p", "items": []})
    assert (mine["owner"], theirs["owner"]) == ("token:ci", "token:other")
    for owner, expected in {"me": mine, "token:ci": mine, "token:other": theirs}.items():
        assert [job["id"] for job in ci.get("jobs", {"owner": owner})["jobs"]] == [expected["id"]]
    assert ci.get("jobs/counts", {"owner": "me"})["counts"]["SUCCESS"]["jobs"] == 1


def test_an_unknown_value_is_refused_with_those_known(admin: Api) -> None:
    reply = admin.get("jobs", {"status": "red"})
    assert (admin.status, reply["code"]) == (422, "invalid_input")
    assert "status: expected one of CREATED, PENDING" in reply["detail"]
    job = submit("x", keys(1), pipeline="p").pk
    assert "window: expected" in admin.get(f"jobs/{job}/throughput", {"window": "x"})["detail"]


def test_items_are_filtered(admin: Api) -> None:
    job = submit("x", keys(6), pipeline="p").pk
    lease = worker.lease("p", 4, worker="gpu-1")
    succeed(lease, 0)
    fail(lease, 1)
    found = admin.get(f"jobs/{job}/items", {"worker": "gpu-1", "range": "1-"})
    assert [item["id"] for item in found["items"]] == [1, 2, 3]
    found = admin.get(f"jobs/{job}/items", {"state": "ready"})
    assert [item["id"] for item in found["items"]] == [4, 5]


def test_everything_that_a_page_shows_can_be_read(admin: Api) -> None:
    job = submit("x", keys(6), pipeline="p").pk
    lease = worker.lease("p", 4)
    sample()
    fail(lease, 1)
    (stage,) = admin.get(f"jobs/{job}/stages")["stages"]
    assert (stage["ready"], stage["waiting"], stage["in_flight"], stage["failed"]) == (2, 0, 3, 1)
    assert admin.get(f"jobs/{job}/eta")["kind"] == "too_early"
    assert admin.get(f"jobs/{job}/throughput", {"window": "run"})["window"] == "run"
    assert admin.get(f"jobs/{job}/runs")["runs"][0]["status"] == "STARTED"
    found = admin.get(f"jobs/{job}/items/1")
    assert (found["tries"][0]["receipt"], found["stages"][0]["state"]) == ("counted", "failed")
    assert admin.get(f"jobs/{job}/items/6")["code"] == "not_found"
    assert admin.status == 404
