"""The workers' verbs over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from joblot.config import limits
from joblot.ledger.job.lifecycle import pause
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.submit.submit import submit
from joblot.models import Uncounted
from tests.api.conftest import Api


@pytest.fixture
def worker(api: Callable[..., Api]) -> Api:
    return api("work", worker="gpu-1")


def succeeded(item: int, output: object = None) -> dict[str, Any]:
    return {"item": item, "outcome": "succeeded", "output": output}


def test_a_job_is_worked_to_its_end(worker: Api, admin: Api) -> None:
    job = submit("night", ["a", "b"], pipeline="moths", config={"size": 3})
    (lease,) = worker.post("claims", {"pipelines": ["moths"], "limit": 16})["leases"]
    assert [item["key"] for item in lease["items"]] == ["a", "b"]
    assert (lease["job"], lease["run"], lease["config"]) == (job.pk, 1, {"size": 3})
    results = [
        succeeded(0, {"n": 1}),
        {"item": 1, "outcome": "failed", "error": {"type": "OSError", "message": "torn"}},
    ]
    reply = worker.post("results", {"lease": lease["token"], "results": results})
    assert [one["receipt"] for one in reply["receipts"]] == ["counted", "counted"]
    state = admin.get(f"jobs/{job.pk}")
    assert (state["status"], state["percent"]) == ("COMPLETED_WITH_ERRORS", 100)
    again = worker.post("results", {"lease": lease["token"], "results": results})
    assert [one["receipt"] for one in again["receipts"]] == ["duplicate", "duplicate"]


def test_failures_are_read_and_retried_by_cause(worker: Api, admin: Api) -> None:
    job = submit("night", ["a", "b", "c"], pipeline="moths")
    (lease,) = worker.post("claims", {"pipelines": ["moths"]})["leases"]
    torn = {"type": "OSError", "message": "'a.jpg' is torn", "traceback": "line 1\nline 2"}
    results = [
        {"item": n, "outcome": "failed", "error": error}
        for n, error in enumerate([torn, torn | {"message": "'b' is torn"}, {"type": "Other"}])
    ]
    worker.post("results", {"lease": lease["token"], "results": results})
    path = f"jobs/{job.pk}"
    found = admin.get(f"{path}/causes")
    assert (admin.status, found["total"], found["other"]) == (200, 3, 0)
    first, second = found["causes"]
    assert (first["items"], first["message"], first["traceback"]) == (
        2,
        "'a.jpg' is torn",
        "line 1\nline 2",
    )
    assert (first["workers"], second["items"]) == (["gpu-1"], 1)
    assert admin.get(f"{path}/causes", {"limit": 1})["other"] == 1
    page = admin.get(f"{path}/items", {"cause": first["cause"]})["items"]
    assert [item["key"] for item in page] == ["a", "b"]
    assert page[0]["outcomes"][0]["error"] == torn | {"cause": first["cause"]}
    changed = admin.post(f"{path}/retry", {"cause": first["cause"], "expected": 3})
    assert (admin.status, changed["code"]) == (409, "number_changed")
    assert (changed["expected"], changed["found"]) == (3, 2)
    retried = admin.post(f"{path}/retry", {"cause": first["cause"], "expected": 2})
    assert (retried["run"], retried["stages"][0]["ready"], retried["stages"][0]["failed"]) == (
        2,
        2,
        1,
    )


@pytest.mark.parametrize(
    "asked", [{"cause": "x"}, {"cause": "0" * 15 + "G"}, {"expected": -1}, {"expected": True}]
)
def test_a_retry_of_no_cause_and_of_no_number_is_refused(admin: Api, asked: dict[str, Any]) -> None:
    job = submit("night", ["a"], pipeline="moths")
    admin.post(f"jobs/{job.pk}/retry", asked)
    assert admin.status == 422


def test_results_are_judged_one_by_one_in_their_order(worker: Api) -> None:
    submit("night", ["a", "b", "c"], pipeline="moths")
    (lease,) = worker.post("claims", {"pipelines": ["moths"]})["leases"]
    results = [succeeded(2), {"item": "x"}, 7, succeeded(0), {"item": 1, "outcome": "perhaps"}]
    reply = worker.post("results", {"lease": lease["token"], "results": results})
    assert [(one["item"], one["receipt"]) for one in reply["receipts"]] == [
        (2, "counted"),
        (None, "rejected"),
        (None, "rejected"),
        (0, "counted"),
        (1, "rejected"),
    ]


def test_an_unknown_lease_is_answered_with_receipts(worker: Api) -> None:
    for token in (str(uuid4()), "nonsense"):
        reply = worker.post("results", {"lease": token, "results": [succeeded(0)]})
        assert [one["receipt"] for one in reply["receipts"]] == ["rejected"]
        assert worker.status == 200


def test_more_results_than_are_taken_at_once(worker: Api) -> None:
    results = [succeeded(n) for n in range(limits().results_per_report_max + 1)]
    reply = worker.post("results", {"lease": str(uuid4()), "results": results})
    assert (worker.status, reply["limit"]) == (413, limits().results_per_report_max)


@pytest.mark.parametrize("body", [[], {"lease": 1, "results": []}, {"lease": "x", "results": {}}])
def test_a_report_that_is_none(worker: Api, body: object) -> None:
    assert (worker.post("results", body)["code"], worker.status) == ("invalid_input", 422)


def test_a_lost_answer_to_a_claim_is_given_again(worker: Api, api: Callable[..., Api]) -> None:
    submit("night", ["a", "b"], pipeline="moths")
    asked = {"pipelines": ["moths"], "limit": 1, "idempotency_key": "k1"}
    first = worker.post("claims", asked)["leases"]
    assert worker.post("claims", asked)["leases"] == first
    stranger = api("work").post("claims", asked)["leases"]
    assert stranger[0]["token"] != first[0]["token"], "a key is its token's alone"


def test_the_next_job_is_the_one_that_a_claim_is_served_from(worker: Api) -> None:
    submit("later", ["a"], pipeline="moths")
    first = submit("urgent", ["a"], pipeline="moths", priority=1_000)
    asked = {"pipeline": ["moths", "birds"]}
    reply = worker.get("jobs/next", asked)
    assert (reply["job"]["id"], reply["job"]["name"]) == (first.pk, "urgent")
    assert worker.get("jobs/next", asked) == reply, "asking changes nothing"
    (lease,) = worker.post("claims", {"pipelines": ["moths"]})["leases"]
    assert lease["job"] == first.pk


def test_no_work_is_answered_with_its_reason(worker: Api) -> None:
    job = submit("night", ["a"], pipeline="moths")
    assert worker.post("claims", {"pipelines": ["birds"]})["reason"] == "unknown_pipeline"
    worker.post("claims", {"pipelines": ["moths"]})
    reply = worker.post("claims", {"pipelines": ["moths"], "wait_seconds": 5})
    assert reply["leases"] == []
    assert reply["reason"] == "all_leased"
    assert reply["retry_after_seconds"] > 0
    assert worker.get("jobs/next", {"pipeline": "moths"}) == {"job": None} | {
        name: reply[name] for name in ("reason", "retry_after_seconds")
    }
    pause(submit("later", ["b"], pipeline="birds").pk)
    assert worker.post("claims", {"pipelines": ["birds"]})["reason"] == "paused"
    assert job.pk


def test_a_token_holds_no_more_than_it_may(api: Callable[..., Api]) -> None:
    submit("night", list("abcd"), pipeline="moths")
    caller = api("work", in_flight_items_max=3)
    (first,) = caller.post("claims", {"pipelines": ["moths"], "limit": 2})["leases"]
    (second,) = caller.post("claims", {"pipelines": ["moths"], "limit": 2})["leases"]
    assert [len(lease["items"]) for lease in (first, second)] == [2, 1]
    assert caller.post("claims", {"pipelines": ["moths"]})["reason"] == "at_limit"
    caller.post("results", {"lease": first["token"], "results": [succeeded(0), succeeded(1)]})
    assert caller.post("claims", {"pipelines": ["moths"]})["leases"]


def test_leases_are_renewed_and_given_back(worker: Api) -> None:
    submit("night", ["a", "b"], pipeline="moths")
    (lease,) = worker.post("claims", {"pipelines": ["moths"]})["leases"]
    path = f"leases/{lease['token']}"
    assert worker.post(f"{path}/renew", {})["expires_at"] >= lease["expires_at"]
    assert worker.post(f"{path}/release") == {"released": 2}
    assert (worker.post(f"{path}/renew")["code"], worker.status) == ("lease_ended", 409)
    assert worker.post(f"leases/{uuid4()}/renew")["code"] == "not_found"
    assert worker.post("leases/nonsense/release")["code"] == "not_found"


def test_a_worker_says_what_it_is(worker: Api) -> None:
    about = {"version": "1.2", "host": "gpu", "hardware": {"gpus": 2}}
    worker.post("claims", {"pipelines": ["moths"], "about": about})
    (seen,) = worker.get("workers")["workers"]
    assert (seen["instance"], seen["about"], seen["state"]) == ("gpu-1", about, "online")


def test_a_revoked_worker_is_refused_until_it_is_restored(worker: Api, admin: Api) -> None:
    job = submit("night", ["a", "b"], pipeline="moths")
    (lease,) = worker.post("claims", {"pipelines": ["moths"]})["leases"]
    (listed,) = admin.get("workers")["workers"]
    assert (listed["pipelines"], listed["leases"], listed["items"]) == (["moths"], 1, 2)
    asked = {"owner": listed["owner"], "instance": "gpu-1", "reason": "computes garbage"}
    assert admin.post("workers/revoke", asked) == {"released": 2}
    for path, body in (
        ("claims", {"pipelines": ["moths"]}),
        ("results", {"lease": lease["token"], "results": [succeeded(0)]}),
        (f"leases/{lease['token']}/renew", None),
    ):
        reply = worker.post(path, body)
        assert (worker.status, reply["code"]) == (403, "worker_revoked")
        assert reply["detail"].startswith("worker gpu-1 was revoked at ")
    assert admin.get("workers")["workers"][0]["revoked_at"]
    assert admin.post("workers/restore", asked) is None
    results = {"lease": lease["token"], "results": [succeeded(0), succeeded(1)]}
    assert [one["receipt"] for one in worker.post("results", results)["receipts"]] == [
        "counted"
    ] * 2
    assert admin.get(f"jobs/{job.pk}")["status"] == "SUCCESS"


def test_only_an_admin_may_revoke_a_worker(worker: Api, api: Callable[..., Api]) -> None:
    worker.post("claims", {"pipelines": ["moths"]})
    for scope in ("work", "submit", "read"):
        caller = api(scope)
        for verb in ("revoke", "restore"):
            caller.post(f"workers/{verb}", {"owner": 1, "instance": "gpu-1"})
            assert caller.status == 403
    admin = api("admin")
    assert admin.post("workers/revoke", {"owner": 99, "instance": "x"})["code"] == "not_found"


def test_why_describes_the_workers_of_others_to_an_admin_only(
    worker: Api, admin: Api, api: Callable[..., Api]
) -> None:
    worker.post("claims", {"pipelines": ["moths"]})
    path = f"jobs/{submit('night', ['a'], pipeline='mohts').pk}/why"
    (reason,) = admin.get(path)["reasons"]
    assert reason == {
        "code": "unserved",
        "text": "1 item waits for pipeline 'mohts'; no worker has ever asked for it; workers "
        "online serve 'moths' (1)",
        "count": 1,
        "since": None,
        "until": None,
        "act": None,
        "link": "workers",
    }
    (reason,) = api("read").get(path)["reasons"]
    assert reason["text"].endswith("no worker has ever asked for it; no worker is online")


def test_the_lease_names_its_worker(worker: Api, admin: Api) -> None:
    job = submit("night", ["a"], pipeline="moths")
    worker.post("claims", {"pipelines": ["moths"]})
    (reason,) = admin.get(f"jobs/{job.pk}/why")["reasons"]
    assert (reason["code"], reason["count"]) == ("in_flight", 1)


@pytest.mark.parametrize(
    "body",
    [
        {"pipelines": []},
        {"pipelines": ["p"], "limit": 0},
        {"pipelines": ["p"], "wait_seconds": -1},
        {"pipelines": ["p\u0000"]},
        {"pipelines": ["p"] * 101},
        {"pipelines": ["p"], "about": {"x": "y" * 10_000}},
        {"pipelines": ["p"], "idempotency_key": ""},
    ],
)
def test_a_claim_that_can_not_be_right(worker: Api, body: object) -> None:
    assert (worker.post("claims", body)["code"], worker.status) == ("invalid_input", 422)


def receipts(worker: Api, lease: str, *results: dict[str, Any]) -> list[str]:
    reply = worker.post("results", {"lease": lease, "results": list(results)})
    assert worker.status == 200
    return [one["receipt"] for one in reply["receipts"]]


def test_results_for_a_cancelled_job_are_kept_and_counted_as_late(worker: Api, admin: Api) -> None:
    job = submit("night", ["a", "b"], pipeline="moths")
    (lease,) = worker.post("claims", {"pipelines": ["moths"]})["leases"]
    assert receipts(worker, lease["token"], succeeded(0)) == ["counted"]
    admin.post(f"jobs/{job.pk}/cancel", {"grace_seconds": 0})
    late = succeeded(1, {"kept": True})
    for _ in range(2):
        assert receipts(worker, lease["token"], succeeded(0), late) == ["duplicate", "late"]
    kept = Uncounted.objects.get(job_id=job.pk)
    assert (kept.number, kept.output) == (1, {"kept": True})
    assert admin.get(f"jobs/{job.pk}")["finished_after_cancel"] == 1


def test_results_for_a_deleted_job_are_told_so(worker: Api, admin: Api) -> None:
    job = submit("night", ["a"], pipeline="moths", policy={"cancel_grace_seconds": 0})
    (lease,) = worker.post("claims", {"pipelines": ["moths"]})["leases"]
    admin.delete(f"jobs/{job.pk}")
    sweep()
    reply = worker.post("results", {"lease": lease["token"], "results": [succeeded(0)]})
    assert [one["receipt"] for one in reply["receipts"]] == ["late"]
    assert "deleted" in reply["receipts"][0]["reason"]


def test_a_result_after_the_finish_is_a_duplicate(worker: Api, admin: Api) -> None:
    job = submit("night", ["a"], pipeline="moths")
    (lease,) = worker.post("claims", {"pipelines": ["moths"]})["leases"]
    assert receipts(worker, lease["token"], succeeded(0)) == ["counted"]
    assert admin.get(f"jobs/{job.pk}")["status"] == "SUCCESS"
    assert receipts(worker, lease["token"], succeeded(0)) == ["duplicate"]
    assert [one["kind"] for one in admin.get(f"jobs/{job.pk}/events")["events"]].count(
        "finished"
    ) == 1


def test_a_worker_without_a_proper_name_is_refused_before_anything_is_done(
    worker: Api, admin: Api
) -> None:
    job = submit("night", ["a"], pipeline="moths")
    (lease,) = worker.post("claims", {"pipelines": ["moths"]})["leases"]
    report = {"lease": lease["token"], "results": [succeeded(0)]}
    reply = worker.post("results", report, **{"Joblot-Worker": "x" * 300})
    assert (worker.status, reply["code"]) == (422, "invalid_input")
    assert admin.get(f"jobs/{job.pk}")["stages"][0]["succeeded"] == 0
    worker.post(f"leases/{lease['token']}/release", **{"Joblot-Worker": "x" * 300})
    assert worker.status == 422
    assert worker.post("results", report)["receipts"][0]["receipt"] == "counted"
