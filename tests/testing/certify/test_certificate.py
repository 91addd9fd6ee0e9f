"""The certificate detects every deviation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from joblot.errors import InvalidInput
from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.testing.certify import Certificate, Plan, certify
from joblot.testing.certify.certificate import certificate
from joblot.testing.certify.truth import handlers
from joblot.testing.certify.wounds import Wound
from joblot.testing.crew.record import Reported

PLAN = Plan(items=60, kills=1, seed=3)

Found = Callable[..., Certificate]


@pytest.fixture
def found(ledger_db: str) -> Found:
    """Make the certificate of a job that ran without faults; arguments replace true values."""
    fates = PLAN.fates()
    items = [item for place in range(PLAN.kills + 1) for item in PLAN.portion(fates, place)]
    policy = {"failure_threshold": 1.0, "retry_backoff_seconds": 0}
    job = submit("certified", items, stages=PLAN.stages, policy=policy)
    known: dict[str, Any] = {
        "plan": PLAN,
        "job_id": job.pk,
        "expected": PLAN.expected(fates),
        "reports": _work(job.pk),
        "wounds": [Wound("worker-1", {0: {7}}, healed_seconds=2.0)],
        "ended": {"worker-2": 0},
        "leases_expired": 1,
        "seconds": 1.5,
    }
    return lambda **given: certificate(**{**known, **given})


def _work(job_id: int) -> list[Reported]:
    reports = []
    while leases := claim(PLAN.pipelines, job=job_id).leases:
        (lease,) = leases
        results = [handlers(PLAN.pipelines)[lease.pipeline](item) for item in lease.items]
        receipts = [one.receipt.value for one in report(lease.token, results)]
        items, outcomes = [r.item for r in results], [r.outcome.value for r in results]
        reports.append(Reported("w", 0.0, lease.token, lease.stage, items, outcomes, receipts))
    return reports


def broken(certificate: Certificate) -> list[str]:
    assert certificate.ok == (not [check for check in certificate.checks if not check.ok])
    return [check.what for check in certificate.checks if not check.ok]


def test_an_exact_storm_is_certified(found: Found):
    assert broken(found()) == []
    assert "installation: exact" in found().as_markdown()
    answer = found().as_json()
    assert json.loads(json.dumps(answer)) == answer
    assert answer["ok"]
    assert answer["tried"]["items"] == PLAN.items
    assert {"joblot", "Django", "Python"} <= answer["versions"].keys()


def test_counts_that_are_not_the_truth_are_found(found: Found):
    first, second = PLAN.expected(PLAN.fates())
    one_more = {**first, "succeeded": first["succeeded"] + 1}
    missing = broken(found(expected=[one_more, second]))
    assert missing == ["digest: succeeded, failed, lost, skipped"]
    assert broken(found(expected=[first, {**second, "units": 0}])) == ["confirm: sum of the metric"]
    assert "NOT EXACT" in found(expected=[one_more, second]).as_markdown()


def test_a_result_that_was_counted_twice_is_found(found: Found):
    again = Reported("w", 0.0, "t", "digest", [0], ["succeeded"], ["counted"])
    assert "items counted twice" in broken(found(reports=[again, again]))


def test_a_result_that_was_counted_and_is_gone_is_found(found: Found):
    gone = Reported("w", 0.0, "t", "digest", [10_000], ["succeeded"], ["counted"])
    assert broken(found(reports=[gone])) == ["results with receipt counted, not in database"]


def test_a_worker_that_did_not_heal_or_failed_is_found(found: Found):
    wound = Wound("worker-1", {0: {7}})
    unhealed = "killed workers whose items are all settled"
    assert broken(found(wounds=[wound])) == [unhealed]
    assert broken(found(wounds=[])) == ["workers killed"]
    assert broken(found(ended={"worker-2": 1})) == ["workers that failed"]


def test_a_wound_heals_when_all_it_held_is_settled(found: Found):
    job_id = the_job(found)
    wound = Wound("worker-1", {0: {0, 1}, 1: set()})
    wound.examine(job_id)
    assert wound.healed_seconds is not None
    open_for_ever = Wound("worker-1", {0: {10_000}})
    open_for_ever.examine(job_id)
    assert open_for_ever.healed_seconds is None


def the_job(found: Found) -> int:
    from joblot.models import Job

    assert found().ok
    return int(Job.objects.get().pk)


def test_the_portions_are_all_items_once():
    fates = PLAN.fates()
    keys = [item["key"] for place in range(PLAN.kills + 1) for item in PLAN.portion(fates, place)]
    assert keys == [f"item-{n}" for n in range(PLAN.items)]
    assert set(fates) == {"good", "bad", "flaky"}


@pytest.mark.parametrize(
    "wrong", [{"items": 10}, {"items": 10**7}, {"workers": 0}, {"kills": -1}, {"kills": 101}]
)
def test_a_plan_that_can_not_be_is_refused(wrong: dict[str, Any]):
    with pytest.raises(InvalidInput):
        certify(replace(PLAN, **wrong))
