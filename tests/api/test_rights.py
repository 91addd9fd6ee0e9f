"""Which token may do and see what."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from joblot.identity.tokens import issue, revoke
from joblot.ledger.submit.submit import submit
from tests.api.conftest import Api

ASKED = {
    "GET jobs": {"read", "submit"},
    "POST jobs": {"submit"},
    "GET jobs/{id}": {"read", "submit"},
    "GET jobs/counts": {"read", "submit"},
    "GET jobs/bulk/pause": {"submit"},
    "POST jobs/bulk/pause": {"submit"},
    "GET jobs/{id}/items": {"read", "submit"},
    "GET jobs/{id}/items/0": {"read", "submit"},
    "GET jobs/{id}/stages": {"read", "submit"},
    "GET jobs/{id}/eta": {"read", "submit"},
    "GET jobs/{id}/throughput": {"read", "submit"},
    "GET jobs/{id}/runs": {"read", "submit"},
    "GET jobs/{id}/results": {"read", "submit"},
    "GET jobs/{id}/summary": {"read", "submit"},
    "GET jobs/{id}/causes": {"read", "submit"},
    "GET jobs/{id}/map": {"read", "submit"},
    "PATCH jobs/{id}": {"submit"},
    "POST jobs/{id}/repair": set(),
    "POST prune": set(),
    "GET pipelines": set(),
    "PATCH pipelines": set(),
    "POST jobs/{id}/items": {"submit"},
    "POST jobs/{id}/pause": {"submit"},
    "POST jobs/{id}/cancel": {"submit"},
    "DELETE jobs/{id}": {"submit"},
    "POST claims": {"work"},
    "POST results": {"work"},
    "GET workers": {"read", "work"},
}
BODIES: dict[str, object] = {
    "POST jobs/bulk/pause": {"expected": 1},
    "POST jobs": {"name": "x", "pipeline": "p"},
    "POST jobs/{id}/items": {"items": []},
    "PATCH jobs/{id}": {"priority": 1},
    "PATCH pipelines": {"pipeline": "p", "policy": {"rate_items_max": 5}},
    "POST prune": {"older_than_seconds": 3_600},
    "POST claims": {"pipelines": ["p"]},
    "POST results": {"lease": "x", "results": []},
}


def ask(api: Api, what: str, job: int) -> None:
    method, path = what.split()
    path = path.format(id=job)
    if method == "GET":
        api.get(path)
    elif method == "DELETE":
        api.delete(path)
    elif method == "PATCH":
        api.patch(path, BODIES[what])
    else:
        api.post(path, BODIES.get(what))


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("scope", ["submit", "work", "read", "admin"])
def test_a_scope_is_for_what_it_says(api: Callable[..., Api], what: str, scope: str) -> None:
    job = submit("night", ["a"], pipeline="moths", seal=False)
    caller = api(scope)
    ask(caller, what, job.pk)
    allowed = scope == "admin" or scope in ASKED[what]
    assert (caller.status != 403) == allowed
    if allowed:
        assert caller.status < 300


@pytest.mark.parametrize("what", [one for one in ASKED if "{id}" in one])
def test_another_project_is_not_there(api: Callable[..., Api], what: str) -> None:
    job = submit("night", ["a"], pipeline="moths", project="alps", seal=False)
    stranger = api("admin", projects=["andes"])
    ask(stranger, what, job.pk)
    hidden = stranger.content
    assert stranger.status == 404
    ask(stranger, what, job.pk + 1)
    assert stranger.content == hidden.replace(b"job %d " % job.pk, b"job %d " % (job.pk + 1))


def test_a_list_shows_the_own_projects_only(api: Callable[..., Api]) -> None:
    submit("theirs", ["a"], pipeline="moths", project="alps")
    mine = submit("mine", ["a"], pipeline="moths", project="andes")
    caller = api("read", projects=["andes"])
    assert [job["id"] for job in caller.get("jobs")["jobs"]] == [mine.pk]
    assert caller.get("jobs", {"project": "alps"})["jobs"] == []


def test_a_job_is_made_in_an_own_project_only(api: Callable[..., Api]) -> None:
    body = {"name": "x", "pipeline": "p"}
    assert api("submit", projects=["andes"]).post("jobs", body)["project"] == "andes"
    caller = api("submit", projects=["andes", "alps"])
    assert caller.post("jobs", body)["code"] == "not_allowed"
    assert caller.post("jobs", body | {"project": "ural"})["code"] == "not_allowed"
    assert caller.post("jobs", body | {"project": "alps"})["project"] == "alps"


def test_a_worker_of_some_pipelines_claims_no_other(api: Callable[..., Api]) -> None:
    submit("night", ["a"], pipeline="moths")
    caller = api("work", pipelines=["birds"])
    assert caller.post("claims", {"pipelines": ["birds", "moths"]})["code"] == "not_allowed"
    assert caller.post("claims", {"pipelines": ["birds"]})["leases"] == []


def test_a_worker_of_one_project_gets_work_of_no_other(api: Callable[..., Api]) -> None:
    theirs = submit("theirs", ["a"], pipeline="moths", project="alps")
    mine = submit("mine", ["a"], pipeline="moths", project="andes")
    caller = api("work", projects=["andes"])
    assert caller.post("claims", {"pipelines": ["moths"], "job": theirs.pk})["code"] == "not_found"
    (lease,) = caller.post("claims", {"pipelines": ["moths"]})["leases"]
    assert lease["job"] == mine.pk
    assert caller.post("claims", {"pipelines": ["moths"]})["leases"] == []


def test_a_token_is_refused_once_it_is_revoked(ledger_db: str) -> None:
    secret, reply = issue("short-lived", ["read"])
    caller = Api(secret)
    caller.get("jobs")
    assert caller.status == 200
    revoke(reply["id"])
    assert (caller.get("jobs")["code"], caller.status) == ("not_authenticated", 401)
    assert caller.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic abc", "Bearer joblot_000000000000_" + "A" * 43]
)
def test_what_is_no_token_is_refused_without_a_hint(ledger_db: str, header: str) -> None:
    caller = Api(None, Authorization=header)
    reply = caller.get("jobs")
    assert (caller.status, reply["code"]) == (401, "not_authenticated")
    assert "x" not in reply["detail"].replace("expected", "").replace("expired", "")


def test_a_request_without_a_token_is_refused(ledger_db: str) -> None:
    assert (Api(None).get("jobs")["code"]) == "not_authenticated"


def test_a_token_that_asks_too_often_is_told_to_wait(api: Callable[..., Api]) -> None:
    caller = api("read", requests_per_minute_max=2)
    for _ in range(2):
        caller.get("jobs")
        assert caller.status == 200
    reply = caller.get("jobs")
    assert (caller.status, reply["code"]) == (429, "too_many_requests")
    assert 0 < reply["retry_after_seconds"] <= 30
    assert int(caller.headers["Retry-After"]) >= reply["retry_after_seconds"]


def test_a_token_may_be_limited_in_what_it_sends_at_once(api: Callable[..., Api]) -> None:
    caller = api("submit", body_bytes_max=200)
    body = {"name": "x", "pipeline": "p"}
    caller.post("jobs", body)
    assert caller.status == 201
    reply = caller.post("jobs", body | {"items": ["k" * 200]})
    assert (caller.status, reply["limit"]) == (413, 200)


def test_no_token_is_ever_logged(ledger_db: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret, reply = issue("x", ["read"])
    Api(secret).get("jobs")
    Api(secret).post("jobs", {"name": "not allowed"})
    revoke(reply["id"])
    Api(secret).get("jobs")
    assert secret[20:] not in caplog.text
