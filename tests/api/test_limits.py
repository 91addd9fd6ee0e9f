"""Over HTTP: halts, retries of a selection, items by key, and progress inside an item."""

from __future__ import annotations

import pytest

from joblot.ledger.submit.submit import submit
from tests.api.conftest import Api
from tests.ledger import worker as by_hand
from tests.ledger.worker import fail, keys


def test_what_failed_is_found_by_key_and_retried_while_the_job_runs(admin: Api) -> None:
    job = submit("night", keys(9), pipeline="p", policy={"halt_failed_items": 2})
    fail(by_hand.lease(limit=3))
    path = f"jobs/{job.pk}"
    assert admin.get(path)["status"] == "PAUSED"
    assert [one["code"] for one in admin.get(f"{path}/why")["reasons"]] == ["halted"]
    found = admin.get(f"{path}/items?key=k2&key=k8&key=absent")
    assert [(one["key"], one["state"]) for one in found["items"]] == [
        ("k2", "failed"),
        ("k8", "open"),
    ]
    again = admin.post(f"{path}/retry", {"keys": ["k0", "k2"], "expected": 2, "reason": "mended"})
    assert (again["run"], again["status"], again["stages"][0]["failed"]) == (1, "PAUSED", 1)
    event = admin.get(f"{path}/events")["events"][-1]
    assert (event["kind"], event["reason"], event["data"]["items"]) == ("reopened", "mended", 2)
    assert admin.post(f"{path}/retry", {"stage": "p", "expected": 5})["code"] == "number_changed"
    assert admin.post(f"{path}/retry", {"failed": True})["stages"][0]["failed"] == 0


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"keys": ["absent"]}, "not_found"),
        ({"keys": []}, "invalid_input"),
        ({"keys": "k0"}, "invalid_input"),
        ({"stage": "none"}, "invalid_input"),
    ],
)
def test_a_selection_that_can_not_be_is_refused(
    admin: Api, asked: dict[str, object], code: str
) -> None:
    job = submit("night", keys(2), pipeline="p")
    assert admin.post(f"jobs/{job.pk}/retry", asked)["code"] == code


def test_a_key_goes_with_no_filter(admin: Api) -> None:
    job = submit("night", keys(2), pipeline="p")
    answer = admin.get(f"jobs/{job.pk}/items?key=k0&state=failed")
    assert (answer["code"], admin.status) == ("invalid_input", 422)


def test_progress_comes_with_a_renewal(admin: Api) -> None:
    job = submit("night", keys(2), pipeline="p")
    path = f"leases/{by_hand.lease(limit=1).token}/renew"
    admin.post(path, {"progress": {"share": 0.3, "text": "page 3 of 10", "item": 0}})
    assert admin.status == 200
    (stage,) = admin.get(f"jobs/{job.pk}/items/0")["stages"]
    assert stage["progress"] == {"share": 0.3, "text": "page 3 of 10"}
    assert admin.post(path, {"progress": {"share": 2}})["code"] == "invalid_input"
