"""Idempotency keys: the same request gets the same job or lease, another one a conflict."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from joblot import faults
from joblot.errors import KeyConflict, NotFound, WrongStatus
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.submit.items import Seen
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Item, Job
from joblot.models import Lease as LeaseRow
from tests.ledger import worker
from tests.ledger.submit.test_submit import Cut, die_on_pass
from tests.ledger.worker import counts, fail, keys, status, succeed

FIRST: dict[str, Any] = {
    "name": "night",
    "pipeline": "p",
    "priority": 2,
    "config": {"size": 3, "on": True},
    "policy": {"failures_max": 9},
}
ONE_STAGE = [{"name": "p", "pipeline": "p"}]
OTHER: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("name", {"name": "day"}),
    "pipeline": ("pipeline", {"pipeline": "q"}),
    "stages instead": ("pipeline, stages", {"pipeline": None, "stages": ONE_STAGE}),
    "priority": ("priority", {"priority": 3}),
    "no priority": ("priority", {"priority": None}),
    "config": ("config", {"config": {"size": 3, "on": 1}}),
    "no config": ("config", {"config": None}),
    "policy": ("policy", {"policy": {"failures_max": 8}}),
    "a default that was not asked for": (
        "policy",
        {"policy": {"failures_max": 9, "expiries_max": 5}},
    ),
    "several": ("config, policy", {"config": 1, "policy": None}),
}


def asked(items: Any = ("a", "b"), **more: Any) -> Job:
    return submit(**FIRST | {"items": items, "idempotency_key": "k"} | more)


class TestAnotherSubmission:
    @pytest.mark.parametrize(("named", "other"), OTHER.values(), ids=OTHER)
    def test_is_a_conflict_that_names_what_differs(
        self, ledger_db: str, named: str, other: dict[str, Any]
    ) -> None:
        job = asked()
        with pytest.raises(KeyConflict, match=rf"job {job.pk} .* another {named};"):
            asked(**other)
        assert Job.objects.count() == 1

    def test_of_the_same_project_only(self, ledger_db: str) -> None:
        assert asked().pk != asked(project="other", config=7).pk

    @pytest.mark.parametrize("sealed", [True, False])
    def test_with_another_payload_is_a_conflict(self, ledger_db: str, sealed: bool) -> None:
        job = asked([{"key": "a", "payload": 1}, "b"], seal=sealed)
        with pytest.raises(KeyConflict, match="'b'"):
            asked([{"key": "a", "payload": 1}, {"key": "b", "payload": 1}])
        assert Job.objects.get().sealed is sealed
        assert counts(job) == {}

    def test_with_an_item_that_a_sealed_job_lacks_is_a_conflict(self, ledger_db: str) -> None:
        asked()
        with pytest.raises(KeyConflict, match="'c'"):
            asked(["a", "b", "c"])
        assert Job.objects.get().total == 2

    @pytest.mark.parametrize("fewer", [["a"], ["b", "b"], []])
    def test_without_an_item_that_a_sealed_job_has_is_a_conflict(
        self, ledger_db: str, fewer: list[str]
    ) -> None:
        asked()
        with pytest.raises(KeyConflict, match="did not include"):
            asked(fewer)

    def test_does_not_seal_what_the_first_had_begun(self, ledger_db: str, configure: Any) -> None:
        """Its items are added to the job, but the job is not considered complete."""
        configure(add_chunk_items=2)
        with faults.armed("submit: chunk added", die_on_pass(1)), pytest.raises(Cut):
            asked(["a", "b", "c"])
        with pytest.raises(KeyConflict, match="1 item that this submission did not include"):
            asked(["b", "d"])
        job = Job.objects.get()
        assert (job.sealed, job.total) == (False, 3)

    def test_conflicts_at_the_first_difference(self, ledger_db: str, configure: Any) -> None:
        configure(add_chunk_items=2)
        asked(keys(6))
        taken: list[int] = []

        def stream() -> Iterator[Any]:
            for n in range(6):
                taken.append(n)
                yield {"key": f"k{n}", "payload": "another"} if n == 2 else f"k{n}"

        with pytest.raises(KeyConflict, match="'k2'"):
            asked(stream())
        assert taken == [0, 1, 2, 3]


class TestTheSameSubmission:
    def test_is_the_same_whatever_the_defaults_are_now(
        self, ledger_db: str, configure: Any
    ) -> None:
        job = asked(policy=None)
        configure(policy={"failures_max": 7})
        assert asked(policy=None).pk == job.pk
        assert asked(policy={}).pk == job.pk

    def test_is_the_same_after_the_job_was_changed(self, ledger_db: str) -> None:
        job = asked(["a"])
        Job.objects.filter(pk=job.pk).update(name="renamed", priority=5)
        fail(worker.lease())
        retry(job.pk, config={"another": 1})
        assert asked(["a"]).pk == job.pk

    def test_compares_configs_by_what_they_say(self, ledger_db: str) -> None:
        job = asked(config={"a": (1, 2), "b": 0})
        assert asked(config={"b": 0, "a": [1, 2]}).pk == job.pk

    def test_may_give_its_items_in_another_order_and_twice(
        self, ledger_db: str, configure: Any
    ) -> None:
        configure(add_chunk_items=3)
        job = asked(keys(10))
        again = [*reversed(keys(10)), *keys(5)]
        assert asked(again).pk == job.pk
        assert Job.objects.get().total == 10

    def test_without_items_says_nothing_of_them(self, ledger_db: str) -> None:
        job = asked()
        assert asked(None).pk == job.pk

    def test_without_items_does_not_seal_those_of_another(self, ledger_db: str) -> None:
        asked(seal=False)
        with pytest.raises(KeyConflict, match="did not include"):
            asked(None)
        assert not Job.objects.get().sealed

    def test_that_leaves_the_job_open_is_answered_after_others_have_filled_it(
        self, ledger_db: str
    ) -> None:
        job = asked(["a"], seal=False)
        add_items(job.pk, ["b"])
        assert asked(["a"], seal=False).total == 2
        seal(job.pk)
        assert asked(["a"], seal=False).pk == job.pk
        with pytest.raises(KeyConflict):
            asked(["a", "c"], seal=False)

    def test_to_a_job_that_was_cancelled_drops_nothing_silently(self, ledger_db: str) -> None:
        job = asked(["a"], seal=False)
        cancel(job.pk, grace_seconds=0)
        with pytest.raises(WrongStatus, match="takes no items"):
            asked(["a", "b"])
        with pytest.raises(WrongStatus, match="can't be sealed"):
            asked(["a"])
        retry(job.pk)
        assert asked(["a", "b"]).sealed

    def test_to_a_sealed_job_that_was_cancelled_finds_it(self, ledger_db: str) -> None:
        job = asked()
        cancel(job.pk, grace_seconds=0)
        assert asked().status == "REVOKED"
        assert asked().pk == job.pk

    def test_makes_another_job_once_the_first_is_deleted(
        self, ledger_db: str, configure: Any
    ) -> None:
        configure(add_chunk_items=1)
        first = asked()

        def stream() -> Iterator[str]:
            yield "a"
            yield "b"
            delete(first.pk)

        with pytest.raises(NotFound):
            asked(stream())
        assert asked().pk != first.pk

    def test_inside_a_transaction_joins_it(self, ledger_db: str) -> None:
        with transaction.atomic(using=ledger_db):
            first = asked(["a"], seal=False)
            assert asked(["a", "b"]).pk == first.pk
            with pytest.raises(KeyConflict):
                asked(["a"])
        assert (Job.objects.get().total, Job.objects.get().sealed) == (2, True)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(0, 12), chunk=st.integers(1, 5))
def _any_submission(seed: int, size: int, chunk: int) -> None:
    """First some of the items, then all of them in any order: complete; another set: never."""
    from joblot import config

    config.configure({"add_chunk_items": chunk})
    draw = random.Random(seed)
    job = submit(
        "any",
        keys(size)[: draw.randint(0, size)],
        pipeline="p",
        idempotency_key=str(seed),
        seal=False,
    )
    given_again = [*keys(size), *draw.choices(keys(size), k=3 if size else 0)]
    draw.shuffle(given_again)
    if (
        size and draw.random() < 0.5
    ):  # the same number of entries, but one item fewer or a different one
        left_out = draw.choice(keys(size))
        given_again = [k for k in given_again if k != left_out] + ["new"] * draw.randint(0, 1)
    expected = {*(Item.objects.filter(job_id=job.pk).values_list("key", flat=True))}
    complete = expected <= set(given_again)
    for _ in range(2):
        try:
            again = submit("any", given_again, pipeline="p", idempotency_key=str(seed))
        except KeyConflict:
            assert not complete
        else:
            assert complete
            assert (again.pk, again.sealed, again.total) == (job.pk, True, len(set(given_again)))
    delete(job.pk)


def test_any_order_of_items_is_judged_by_the_set_of_them(ledger_db: str, configure: Any) -> None:
    _any_submission()


class TestSeen:
    def test_counts_each_number_once(self) -> None:
        seen = Seen()
        for number in (5, 0, 5, 10_000, 7, 0):
            seen.add(number)
        assert len(seen) == 4

    def test_a_million_items_cost_a_bit_each(self) -> None:
        seen = Seen()
        for number in random.Random(1).sample(range(1_000_000), 100_000):
            seen.add(number)
        assert len(seen) == 100_000
        assert seen.bytes_held <= 2**17


def test_thirty_identical_submissions_at_once_get_one_job(
    ledger_db: str, configure: Any, in_thread: Any
) -> None:
    configure(add_chunk_items=5)
    ready = threading.Barrier(30)

    def same() -> Job:
        ready.wait(30)
        return submit("thirty", iter(keys(23)), pipeline="p", idempotency_key="k")

    made = [one.result() for one in [in_thread(same) for _ in range(30)]]
    assert {(job.pk, job.sealed, job.total) for job in made} == {(made[0].pk, True, 23)}
    worker.drain()
    assert (Job.objects.count(), status(made[0])) == (1, "SUCCESS")


def test_adding_again_what_a_sealed_job_has_is_answered(ledger_db: str) -> None:
    """The answer to the first call may be lost, and the job sealed meanwhile."""
    job = submit("open", keys(2), pipeline="p", seal=False)
    assert add_items(job.pk, keys(4)) == 2
    seal(job.pk)
    assert add_items(job.pk, keys(4)) == 0
    with pytest.raises(WrongStatus, match="'more'"):
        add_items(job.pk, ["k0", "more"])


def test_adding_all_that_there_is_seals(ledger_db: str) -> None:
    job = submit("open", keys(2), pipeline="p", seal=False)
    with pytest.raises(KeyConflict, match="did not include"):
        add_items(job.pk, ["k1", "k2"], seal=True)
    assert not Job.objects.get().sealed
    assert add_items(job.pk, keys(3), seal=True) == 0
    assert add_items(job.pk, keys(3), seal=True) == 0
    assert Job.objects.get().sealed


def test_the_record_of_what_was_asked_never_changes(ledger_db: str) -> None:
    job = asked()
    with (
        pytest.raises(DatabaseError, match="joblot: "),
        transaction.atomic(using=ledger_db),
        connections[ledger_db].cursor() as cursor,
    ):
        cursor.execute("UPDATE joblot_job SET asked = '{}', version = version + 1")
    assert asked().pk == job.pk


def test_a_retry_begins_the_run_that_is_named_once(ledger_db: str) -> None:
    job = submit("again", keys(1), pipeline="p")
    fail(worker.lease())
    retry(job.pk, run=2)
    fail(worker.lease())  # so run 2 has ended
    assert retry(job.pk, run=2).run == 2
    assert retry(job.pk, run=3).run == 3


CLAIMED: dict[str, Any] = {"pipelines": ["p", "q"], "limit": 2, "idempotency_key": "once"}
OTHER_CLAIMS: dict[str, dict[str, Any]] = {
    "other pipelines": {"pipelines": ["q"]},
    "fewer pipelines": {"pipelines": "p"},
    "another limit": {"limit": 1},
    "a job": {"job": 1},
    "another owner": {"owner": 8},
}


class TestAClaimsKey:
    @pytest.mark.parametrize("left", [0, 8], ids=["nothing ready", "more ready"])
    @pytest.mark.parametrize("other", OTHER_CLAIMS.values(), ids=OTHER_CLAIMS)
    def test_of_another_claim_is_a_conflict(
        self, ledger_db: str, other: dict[str, Any], left: int
    ) -> None:
        job = submit("some", keys(2 + left), pipeline="p")
        more = other | ({"job": job.pk} if "job" in other else {})
        submit("others", keys(left), pipeline="q")
        claim(**CLAIMED)
        with pytest.raises(KeyConflict, match="another claim"):
            claim(**CLAIMED | more)
        assert LeaseRow.objects.count() == 1

    def test_of_the_same_claim_gives_the_same_lease(self, ledger_db: str) -> None:
        submit("some", keys(10), pipeline="p")
        (first,) = claim(**CLAIMED).leases
        again = CLAIMED | {"pipelines": ("q", "p", "q"), "worker": "elsewhere"}
        assert claim(**again).leases == (first,)

    @pytest.mark.parametrize("how", ["expired", "reported"])
    def test_of_a_lease_that_has_ended_is_a_conflict(self, ledger_db: str, how: str) -> None:
        submit("some", keys(2), pipeline="p")
        (lease,) = claim(**CLAIMED).leases
        _ = expire(lease.token) if how == "expired" else succeed(lease)
        with pytest.raises(KeyConflict, match="has ended"):
            claim(**CLAIMED)
