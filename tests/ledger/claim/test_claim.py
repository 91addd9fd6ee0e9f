"""Claim: what a lease holds, how much is granted, and repeated claims."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from joblot.errors import InvalidInput, KeyConflict, NotDurable
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, delete, pause, resume, start
from joblot.ledger.lease import expire, release
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.models import Lease as LeaseRow
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, numbers, status, succeed


def test_a_lease_carries_all_that_its_worker_needs(ledger_db: str) -> None:
    job = submit(
        "one", [{"key": "a", "payload": {"url": "x"}}, "b"], pipeline="p", config={"model": 3}
    )
    lease = worker.lease()
    assert (lease.job, lease.run, lease.stage, lease.pipeline) == (job.pk, 1, "p", "p")
    assert lease.config == {"model": 3}
    given = [(i.id, i.key, i.payload, i.input, i.attempt) for i in lease.items]
    assert given == [(0, "a", {"url": "x"}, None, 1), (1, "b", None, None, 1)]
    assert status(job) == "STARTED"


def test_every_item_is_leased_once_and_no_claim_is_larger_than_asked(ledger_db: str) -> None:
    submit("many", keys(300), pipeline="p")
    taken: list[int] = []
    while leases := claim("p", 7).leases:
        assert 1 <= len(leases[0].items) <= 7
        taken += worker.numbers(leases[0])
    assert sorted(taken) == list(range(300))


def test_several_small_ranges_make_one_lease(ledger_db: str) -> None:
    submit("many", keys(30), pipeline="p", policy={"retry_backoff_seconds": 0})
    lease = worker.lease(limit=30)
    fail(lease, *range(0, 30, 2), retryable=True)  # no two are adjacent: 15 ranges
    assert len(worker.lease(limit=16).items) == 15


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_bounds_is_refused(ledger_db: str, limit: int) -> None:
    with pytest.raises(InvalidInput, match="limit: expected 1 to 1000"):
        claim("p", limit)


@pytest.mark.parametrize("text", ["\x00", "\ud800", "x" * 201])
@pytest.mark.parametrize("field", ["worker", "idempotency_key"])
def test_a_name_that_no_database_keeps_is_refused(ledger_db: str, field: str, text: str) -> None:
    submit("one", keys(1), pipeline="p")
    with pytest.raises(InvalidInput, match=field):
        claim("p", **{field: text})  # type: ignore[arg-type]


def test_only_the_pipelines_asked_for_are_served(ledger_db: str) -> None:
    submit("one", keys(1), pipeline="p")
    submit("two", keys(1), pipeline="q")
    assert worker.nothing("r")
    assert worker.nothing([])
    assert worker.lease(["q", "r"]).pipeline == "q"
    assert worker.lease(["q", "p"]).pipeline == "p"


def test_only_the_job_asked_for_is_served(ledger_db: str) -> None:
    first = submit("one", keys(1), pipeline="p")
    second = submit("two", keys(1), pipeline="p")
    assert worker.lease(job=second.pk).job == second.pk
    assert worker.nothing(job=second.pk)
    assert worker.lease(job=first.pk).job == first.pk


@pytest.mark.parametrize("how", ["created", "paused", "canceling", "revoked", "deleted"])
def test_a_job_that_is_not_claimable_grants_nothing(ledger_db: str, how: str) -> None:
    job = submit("four", keys(4), pipeline="p", start=how != "created")
    if how != "created":
        worker.lease(limit=1)
    if how == "paused":
        pause(job.pk)
    elif how == "canceling":
        cancel(job.pk, grace_seconds=100)
    elif how == "revoked":
        cancel(job.pk, grace_seconds=0)
    elif how == "deleted":
        delete(job.pk)
    assert worker.nothing()
    assert worker.nothing(job=job.pk)


def test_a_job_is_served_again_after_it_is_started_or_resumed(ledger_db: str) -> None:
    job = submit("four", keys(4), pipeline="p", start=False)
    start(job.pk)
    worker.lease(limit=1)
    pause(job.pk)
    resume(job.pk)
    worker.lease(limit=1)


def test_the_same_key_gives_the_same_lease_and_takes_nothing_more(ledger_db: str) -> None:
    submit("four", keys(4), pipeline="p")
    first = worker.lease(limit=2, idempotency_key="once")
    again = worker.lease(limit=2, idempotency_key="once")
    assert again == first
    assert LeaseRow.objects.count() == 1
    assert worker.lease(limit=2, idempotency_key="twice").token != first.token


@pytest.mark.parametrize("how", ["expired", "closed", "spent"])
def test_the_key_of_a_lease_that_has_ended_grants_no_other(ledger_db: str, how: str) -> None:
    """A repetition that late has lost the lease; the next claim needs a new key."""
    job = submit("four", keys(4), pipeline="p")
    lease = worker.lease(limit=2, idempotency_key="once")
    if how == "expired":
        expire(lease.token)
    elif how == "closed":
        cancel(job.pk, grace_seconds=0)
        submit("more", keys(4), pipeline="p")
    else:
        succeed(lease)
    with pytest.raises(KeyConflict, match="its lease has ended"):
        claim("p", 2, idempotency_key="once")
    assert LeaseRow.objects.count() == 1
    assert claim("p", 2, idempotency_key="next").leases


def test_claiming_inside_a_transaction_is_refused(ledger_db: str) -> None:
    submit("one", keys(1), pipeline="p")
    with transaction.atomic(using=ledger_db), pytest.raises(NotDurable):
        claim("p")
    assert numbers(worker.lease()) == [0]


def test_items_that_wait_for_their_next_try_are_not_ready(ledger_db: str, clock: Any) -> None:
    submit("two", keys(2), pipeline="p", policy={"retry_backoff_seconds": 30})
    fail(worker.lease(limit=1), retryable=True)
    assert len(worker.lease().items) == 1
    assert worker.nothing()
    clock.forward(30)
    assert len(worker.lease().items) == 1


def test_large_inputs_are_read_from_the_storage(
    ledger_db: str, configure: Any, tmp_path: Any
) -> None:
    configure(output_bytes_inline_max=10)
    submit("two stages", keys(1), stages=TWO_STAGES)
    lease = worker.lease("p")
    large = {"text": "x" * 100}
    from django.test import override_settings

    backend = "django.core.files.storage.InMemoryStorage"
    with override_settings(STORAGES={"joblot": {"BACKEND": backend}}):
        succeed(lease, output=large)
        assert worker.lease("q").items[0].input == large


def test_the_first_claim_starts_the_job_once(ledger_db: str) -> None:
    job = submit("four", keys(4), pipeline="p")
    assert status(job) == "PENDING"
    worker.lease(limit=1)
    began = Job.objects.get(pk=job.pk).started_at
    worker.lease(limit=1)
    assert Job.objects.get(pk=job.pk).started_at == began is not None
    assert worker.kinds(job) == ["started", "claimed"]


@pytest.mark.parametrize("pipeline", ["\x00", "\ud800", "x" * 201, "", 7])
def test_a_pipeline_that_is_no_name_is_refused(ledger_db: str, pipeline: Any) -> None:
    with pytest.raises(InvalidInput, match="pipeline: expected text"):
        claim([pipeline])


def test_keys_of_different_owners_are_different_when_they_name_them(ledger_db: str) -> None:
    submit("four", keys(4), pipeline="p")
    one, two = (worker.lease(limit=1, idempotency_key=f"{owner}:once") for owner in (1, 2))
    assert one.token != two.token
    for owner, lease in ((1, one), (2, two)):
        assert worker.lease(limit=1, idempotency_key=f"{owner}:once") == lease


def test_a_lost_answer_is_given_again_though_nothing_else_is_ready(ledger_db: str) -> None:
    submit("one", keys(1), pipeline="p")
    first = worker.lease(idempotency_key="once")
    assert worker.lease(idempotency_key="once") == first
    assert worker.nothing(idempotency_key="another")


def test_asking_again_changes_nothing_in_the_queue(ledger_db: str) -> None:
    submit("many", keys(10), pipeline="p")
    first = worker.lease(limit=2, idempotency_key="once")
    assert worker.lease(limit=2, idempotency_key="once") == first
    assert numbers(worker.lease(limit=8)) == list(range(2, 10))


class TestCaps:
    def test_a_lease_is_its_owners(self, ledger_db: str) -> None:
        submit("two", keys(2), pipeline="p")
        leases = [worker.lease(limit=1, owner=7), worker.lease(limit=1)]
        owners = [LeaseRow.objects.get(pk=lease.token).owner for lease in leases]
        assert owners == [7, None]

    def test_an_owner_has_no_more_in_flight_than_he_may(self, ledger_db: str) -> None:
        submit("many", keys(40), pipeline="p")
        capped: dict[str, Any] = {"owner": 7, "owner_items_max": 10}
        first = worker.lease(limit=6, **capped)
        assert len(worker.lease(limit=6, **capped).items) == 4  # all that the owner has room for
        assert claim("p", 6, **capped).reason == "at_limit"
        assert len(worker.lease(limit=6, owner=8, owner_items_max=10).items) == 6
        assert len(worker.lease(limit=6).items) == 6
        succeed(first)
        assert len(worker.lease(limit=20, **capped).items) == 6

    @pytest.mark.parametrize("how", ["release", "expire", "cancel"])
    def test_a_lease_that_has_ended_leaves_room(self, ledger_db: str, how: str) -> None:
        job = submit("many", keys(4), pipeline="p")
        capped: dict[str, Any] = {"owner": 7, "owner_items_max": 2}
        lease = worker.lease(limit=2, **capped)
        assert worker.nothing(**capped)
        if how == "cancel":
            cancel(job.pk, grace_seconds=0)
            submit("more", keys(4), pipeline="p")
        else:
            {"release": release, "expire": expire}[how](lease.token)
        worker.lease(limit=2, **capped)

    def test_a_caller_at_its_limit_is_given_a_lost_answer_again(self, ledger_db: str) -> None:
        submit("many", keys(4), pipeline="p")
        asked: dict[str, Any] = {"owner": 7, "owner_items_max": 2, "idempotency_key": "once"}
        first = worker.lease(limit=2, **asked)
        assert worker.lease(limit=2, **asked) == first

    def test_a_job_has_no_more_in_flight_than_its_policy_says(self, ledger_db: str) -> None:
        """A claim that comes while there is room may exceed it."""
        policy = {"in_flight_items_max": 3}
        capped = submit("capped", keys(20), pipeline="p", policy=policy)
        first = worker.lease()
        assert (first.job, len(first.items)) == (capped.pk, 3)
        assert claim("p").reason == "at_limit"
        other = submit("other", keys(1), pipeline="p")
        assert worker.lease().job == other.pk
        succeed(first, numbers(first)[0])
        assert len(worker.lease().items) == 3
        assert worker.nothing()

    def test_a_cap_holds_though_the_candidates_are_stale(
        self, ledger_db: str, configure: Any
    ) -> None:
        configure(candidates_seconds=3_600)
        submit("capped", keys(20), pipeline="p", policy={"in_flight_items_max": 3})
        assert [len(worker.lease(limit=2).items) for _ in range(2)] == [2, 2]
        for _ in range(3):
            assert worker.nothing()
