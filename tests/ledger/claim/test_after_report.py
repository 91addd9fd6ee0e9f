"""A report that claims the next lease: the receipts are as without it, the lease as by `claim`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connections

from joblot.errors import InvalidInput, InvalidResult, KeyConflict, Unavailable, WorkerRevoked
from joblot.ledger.claim import after_report
from joblot.ledger.claim.after_report import report
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import pause
from joblot.ledger.lease import release
from joblot.ledger.maintain.revocation import revoke_worker
from joblot.ledger.report.hooks import on_result
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.states import LeaseState, NoLease
from joblot.wire import GrantedLease, NextClaim, Reported, failure, success
from tests.ledger import worker
from tests.ledger.claim.test_round_trips import sent
from tests.ledger.worker import TWO_STAGES, counts, keys, numbers, status

Verb = Callable[..., Reported]
NEXT = NextClaim(["p"], 4)
CALL = "CALL joblot_report_and_claim_1"
BROKEN = """
CREATE OR REPLACE FUNCTION joblot_broken() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'broken'; END $$;
CREATE TRIGGER broken BEFORE INSERT ON joblot_lease
FOR EACH ROW EXECUTE FUNCTION joblot_broken()
"""
MENDED = "DROP TRIGGER broken ON joblot_lease; DROP FUNCTION joblot_broken()"


def report_and_claim(token: str, results: Any, claim_next: NextClaim) -> Reported:
    return report(token, results, claim_next=claim_next)


def over_http(token: str, results: Any, claim_next: NextClaim) -> Reported:
    return after_report.report_and_claim(token, results, claim_next, shared=True)


@pytest.fixture(params=[report_and_claim, over_http], ids=["called", "over_http"])
def verb(request: pytest.FixtureRequest) -> Verb:
    given: Verb = request.param
    return given


@pytest.fixture(autouse=True)
def known(configure: Any) -> None:
    """However slow the machine is, the candidates are known."""
    configure(candidates_seconds=600)


def done(verb: Verb, lease: GrantedLease, claim_next: NextClaim = NEXT) -> Reported:
    return verb(lease.token, [success(n) for n in numbers(lease)], claim_next)


def receipts(answer: Reported) -> list[str]:
    return [one.receipt.value for one in answer.receipts]


def granted(answer: Reported) -> GrantedLease:
    assert answer.claim_error is None
    assert answer.claim is not None
    (lease,) = answer.claim.leases
    return lease


def test_it_counts_and_grants(ledger_db: str, verb: Verb) -> None:
    job = submit("long", keys(10), pipeline="p", config={"deep": True})
    answer = done(verb, worker.lease(limit=3))
    lease = granted(answer)
    assert receipts(answer) == ["counted"] * 3
    assert numbers(lease) == [3, 4, 5, 6]
    assert (lease.job, lease.config, lease.items[0].key) == (job.pk, {"deep": True}, "k3")
    assert counts(job) == {"succeeded": 3}


def test_a_job_is_drained_by_reports_alone(ledger_db: str, verb: Verb) -> None:
    """Through both of its stages: what a report queues, its claim may get."""
    job = submit("staged", keys(9), stages=TWO_STAGES)
    lease, seen = worker.lease(["p", "q"], limit=4), 0
    while True:
        seen += len(lease.items)
        answer = done(verb, lease, NextClaim(["p", "q"], 4))
        assert answer.claim is not None
        if not answer.claim.leases:
            break
        (lease,) = answer.claim.leases
    assert (seen, answer.claim.reason) == (18, NoLease.NONE_QUEUED)
    assert status(job) == "SUCCESS"


def test_what_a_claim_refuses_it_refuses_too(ledger_db: str, verb: Verb) -> None:
    """And the receipts are there all the same."""
    job = submit("held", keys(8), pipeline="p")
    first, second = worker.lease(limit=2), worker.lease(limit=2)
    capped = done(verb, first, replace(NEXT, owner=7, owner_items_max=0))
    assert capped.claim is not None
    assert (receipts(capped), capped.claim.reason) == (["counted"] * 2, NoLease.AT_LIMIT)
    pause(job.pk)
    paused = done(verb, second)
    assert paused.claim is not None
    assert (receipts(paused), paused.claim.reason) == (["counted"] * 2, NoLease.PAUSED)


@pytest.mark.parametrize(
    "bad", [NextClaim(["p"], 0), NextClaim([""]), replace(NEXT, idempotency_key="x" * 999)]
)
def test_a_claim_that_is_invalid_takes_no_receipt_away(
    ledger_db: str, verb: Verb, bad: NextClaim
) -> None:
    submit("some", keys(4), pipeline="p")
    answer = done(verb, worker.lease(limit=2), bad)
    assert receipts(answer) == ["counted"] * 2
    assert answer.claim is None
    assert isinstance(answer.claim_error, InvalidInput)


def test_a_repeated_call_returns_the_same_lease(ledger_db: str, verb: Verb) -> None:
    """As after an answer that was lost."""
    submit("long", keys(40), pipeline="p")
    lease, keyed = worker.lease(limit=2), replace(NEXT, idempotency_key="once")
    first, again = done(verb, lease, keyed), done(verb, lease, keyed)
    assert receipts(again) == ["duplicate"] * 2
    assert granted(again) == granted(first)
    assert Lease.objects.count() == 2
    release(granted(first).token)
    ended = done(verb, lease, keyed)
    assert receipts(ended) == ["duplicate"] * 2
    assert isinstance(ended.claim_error, KeyConflict)


def test_a_revoked_worker_gets_neither(ledger_db: str, verb: Verb) -> None:
    job = submit("some", keys(40), pipeline="p")
    lease = worker.lease(limit=2, worker="w")
    revoke_worker(0, "w")
    with pytest.raises(WorkerRevoked):
        done(verb, lease, replace(NEXT, worker="w"))
    assert counts(job) == {}
    assert not Lease.objects.filter(state=LeaseState.LIVE).exists()


def test_a_report_that_fails_grants_nothing(ledger_db: str, verb: Verb, configure: Any) -> None:
    submit("some", keys(40), pipeline="p")
    lease = worker.lease(limit=4)
    configure(candidates_seconds=600, results_per_report_max=3)
    with pytest.raises(InvalidResult):
        done(verb, lease)
    assert Lease.objects.count() == 1


def test_results_that_are_judged_one_by_one_are_judged(ledger_db: str, verb: Verb) -> None:
    submit("mixed", keys(40), pipeline="p")
    lease = worker.lease(limit=4)
    given = [success(0), failure(1, "Busy", retryable=True), success(2), success(2), success(99)]
    answer = verb(lease.token, given, NEXT)
    assert receipts(answer) == ["counted", "requeued", "counted", "duplicate", "rejected"]
    assert len(granted(answer).items) == 4


def test_a_hook_is_called_before_the_claim(ledger_db: str, verb: Verb) -> None:
    submit("hooked", keys(40), pipeline="p")
    got: list[str] = []
    on_result("p")(lambda results: got.extend(one.key for one in results))
    answer = done(verb, worker.lease(limit=2))
    assert got == ["k0", "k1"]
    assert len(granted(answer).items) == 4


def test_through_an_unknown_lease_it_still_claims(ledger_db: str, verb: Verb) -> None:
    submit("some", keys(4), pipeline="p")
    answer = verb("no token", [success(0)], NEXT)
    assert receipts(answer) == ["rejected"]
    assert numbers(granted(answer)) == [0, 1, 2, 3]


class TestInOneCall:
    @pytest.fixture(autouse=True)
    def _long(self, postgres_only: str) -> None:
        submit("long", keys(600), pipeline="p")
        claim("p", 1, worker="w")  # that a worker asked is written once in a while

    @pytest.mark.parametrize(
        "given",
        [NEXT, replace(NEXT, idempotency_key="once"), replace(NEXT, owner=1, owner_items_max=9)],
        ids=["plain", "keyed", "capped"],
    )
    def test_it_is_one_round_trip(self, verb: Verb, given: NextClaim) -> None:
        lease = worker.lease(limit=4)
        with sent() as statements:
            assert granted(done(verb, lease, given)).items
        assert [one[: len(CALL)] for one in statements] == [CALL]

    def test_what_was_settled_already_claims_in_one_round_trip_too(self, verb: Verb) -> None:
        lease = worker.lease(limit=4)
        report(lease.token, [success(n) for n in numbers(lease)])
        with sent() as statements:
            assert granted(done(verb, lease)).items
        assert statements[0].startswith(CALL)
        assert not [one for one in statements if "joblot_claim_1(" in one and CALL not in one]

    def test_an_error_of_the_claim_takes_no_receipt_away(self, verb: Verb) -> None:
        """Nor does that of the claim that is then made alone."""
        lease = worker.lease(limit=4)
        with connections["postgres"].cursor() as cursor:
            cursor.execute(BROKEN)
            try:
                answer = done(verb, lease)
            finally:
                cursor.execute(MENDED)
        assert receipts(answer) == ["counted"] * 4
        assert isinstance(answer.claim_error, Unavailable)
        assert "broken" in str(answer.claim_error)
