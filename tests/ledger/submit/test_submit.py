"""Submit, add, seal: what is accepted, what is refused, and continuing after a cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from django.db import transaction

from joblot import faults
from joblot.errors import (
    InvalidInput,
    InvalidItem,
    InvalidPolicy,
    KeyConflict,
    NotDurable,
    NotFound,
    WrongStatus,
)
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.job.retry import retry
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Item, ItemRange, Job
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, keys, status, succeed


class Cut(Exception):
    """The submitting process dies here."""


def die_on_pass(number: int) -> Callable[[], None]:
    passes = count(1)

    def action() -> None:
        if next(passes) == number:
            raise Cut

    return action


def stored(job: Job) -> list[tuple[int, str, Any]]:
    rows = Item.objects.filter(job_id=job.pk).order_by("number")
    return list(rows.values_list("number", "key", "payload"))


def test_a_job_has_what_was_given(ledger_db: str) -> None:
    job = submit(
        "digits",
        [{"key": "a", "payload": [1, {"b": None}]}, "plain"],
        stages=TWO_STAGES,
        project="science",
        priority=-3,
        config={"x": [1]},
        policy={"failures_max": 9},
        idempotency_key="k",
    )
    assert (job.name, job.project, job.priority, job.config) == (
        "digits",
        "science",
        -3,
        {"x": [1]},
    )
    assert job.policy["failures_max"] == 9
    assert job.policy["expiries_max"] == 5
    assert (job.status, job.run, job.sealed, job.total) == ("PENDING", 1, True, 2)
    assert stored(job) == [(0, "a", [1, {"b": None}]), (1, "plain", None)]


def test_items_are_taken_as_a_stream_and_claimed_from_the_first_chunk_on(
    ledger_db: str, configure: Any
) -> None:
    configure(add_chunk_items=3)
    leased: list[int] = []

    def stream() -> Iterator[str]:
        for n in range(10):
            if n == 7:  # two chunks were added
                leased.extend(worker.numbers(worker.lease(limit=100)))
            yield f"k{n}"

    job = submit("stream", stream(), pipeline="p")
    assert leased == list(range(6))
    assert job.total == 10
    assert [number for number, _, _ in stored(job)] == list(range(10))


def test_a_chunk_ends_at_its_bytes_too(ledger_db: str, configure: Any) -> None:
    configure(add_chunk_bytes=100)
    chunks: list[int] = []
    items = [{"key": f"k{n}", "payload": "x" * 60} for n in range(4)]
    with faults.armed("submit: chunk added", lambda: chunks.append(1)):
        submit("bytes", items, pipeline="p")
    assert len(chunks) == 2


@pytest.mark.parametrize("chunk", [2, 100])
def test_an_equal_key_is_skipped_within_and_across_chunks(
    ledger_db: str, configure: Any, chunk: int
) -> None:
    configure(add_chunk_items=chunk)
    again = [{"key": "a", "payload": {"x": 1, "y": 2}}, {"key": "a", "payload": {"y": 2, "x": 1}}]
    job = submit("twice", [*again, "b", "b", "c", again[0], "c", "d"], pipeline="p")
    assert [(n, key) for n, key, _ in stored(job)] == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]
    worker.drain()
    assert counts(job) == {"succeeded": 4}


@pytest.mark.parametrize(("chunk", "sealed"), [(1, [False]), (100, [])])
def test_a_key_with_another_payload_is_refused(
    ledger_db: str, configure: Any, chunk: int, sealed: list[bool]
) -> None:
    """In the first chunk, it is found before the job is created; later, the job stays open."""
    configure(add_chunk_items=chunk)
    items = [{"key": "a", "payload": 1}, {"key": "a", "payload": 2}]
    with pytest.raises(KeyConflict, match="'a'"):
        submit("conflict", items, pipeline="p")
    assert [job.sealed for job in Job.objects.all()] == sealed


NUMBERS = [1e22, 1e23, 1.5e300, 1e16, -0.0, 1e-7, 0.1, 2**80, 1.0, 123456789.123456789, 5e-324]


@pytest.mark.parametrize("number", NUMBERS)
def test_an_item_is_equal_to_itself_whatever_the_database_makes_of_its_numbers(
    ledger_db: str, number: float
) -> None:
    items = [{"key": "a", "payload": {"n": [number]}}]
    job = submit("numbers", items, pipeline="p", seal=False)
    assert add_items(job.pk, items) == 0
    (item,) = worker.lease().items
    assert item.payload == {"n": [number]} or item.payload["n"][0] == pytest.approx(number)


def test_true_is_not_one(ledger_db: str) -> None:
    job = submit("types", [{"key": "a", "payload": {"n": 1}}], pipeline="p", seal=False)
    with pytest.raises(KeyConflict):
        add_items(job.pk, [{"key": "a", "payload": {"n": True}}])


REFUSED_ITEMS: dict[str, Any] = {
    "no key": {"payload": 1},
    "an empty key": "",
    "a key that is a number": {"key": 7},
    "a key that is too long": "x" * 513,
    "a key with U+0000": "a\x00b",
    "a key with a lone surrogate": "\ud800",
    "no item at all": 7,
    "an unknown field": {"key": "a", "pay": 1},
    "NaN": {"key": "a", "payload": float("nan")},
    "infinity": {"key": "a", "payload": [float("-inf")]},
    "U+0000 in the payload": {"key": "a", "payload": {"x": ["\x00"]}},
    "a lone surrogate in the payload": {"key": "a", "payload": "\udc00"},
    "something that is no JSON": {"key": "a", "payload": {1, 2}},
    "a payload that is too large": {"key": "a", "payload": "x" * 1000},
}


@pytest.mark.parametrize("bad", REFUSED_ITEMS.values(), ids=REFUSED_ITEMS)
def test_a_bad_item_is_refused_with_its_position_and_what_was_added_stays(
    ledger_db: str, configure: Any, bad: Any
) -> None:
    configure(payload_bytes_max=900, add_chunk_items=2)
    with pytest.raises(InvalidItem, match=r"^item 4: "):
        submit("bad", [*keys(4), bad, "last"], pipeline="p", idempotency_key="once")
    job = Job.objects.get()
    assert (job.sealed, job.total) == (False, 4)
    job = submit("bad", [*keys(4), "last"], pipeline="p", idempotency_key="once")
    assert (job.sealed, job.total) == (True, 5)


def test_the_limit_of_a_payload_is_in_bytes_and_exact(ledger_db: str, configure: Any) -> None:
    configure(payload_bytes_max=10)
    job = submit("limit", [{"key": "a", "payload": "ü" * 4}], pipeline="p", seal=False)
    with pytest.raises(InvalidItem, match="at most 10 bytes, got 12"):
        add_items(job.pk, [{"key": "b", "payload": "ü" * 5}])


def test_text_that_looks_like_an_escape_is_taken(ledger_db: str) -> None:
    payload = {"a": "\\u0000", "b": "\\", "c": "tab\tnew\n", "d": "✓ 𝄞"}
    submit("escapes", [{"key": "tab\t\n\\N", "payload": payload}], pipeline="p")
    (item,) = worker.lease().items
    assert (item.key, item.payload) == ("tab\t\n\\N", payload)


REFUSED_JOBS: dict[str, dict[str, Any]] = {
    "no stages": {},
    "both": {"pipeline": "p", "stages": TWO_STAGES},
    "an empty list of stages": {"stages": []},
    "a stage without a pipeline": {"stages": [{"name": "a"}]},
    "stages of the same name": {"stages": [{"name": "a", "pipeline": "p"}] * 2},
    "too many stages": {"stages": [{"name": f"s{n}", "pipeline": "p"} for n in range(33)]},
    "an empty name": {"name": "", "pipeline": "p"},
    "a long name": {"name": "x" * 201, "pipeline": "p"},
    "a name with U+0000": {"name": "\x00", "pipeline": "p"},
    "a name with a lone surrogate": {"name": "\ud800", "pipeline": "p"},
    "a pipeline that is no text": {"pipeline": 5},
    "a project that is empty": {"project": "", "pipeline": "p"},
    "a priority that is no number": {"priority": "high", "pipeline": "p"},
    "a priority beyond 32 bits": {"priority": 2**40, "pipeline": "p"},
    "a config that is no JSON": {"config": {"x": float("nan")}, "pipeline": "p"},
    "a config that is too large": {"config": "x" * 300_000, "pipeline": "p"},
    "a key that is too long": {"idempotency_key": "x" * 201, "pipeline": "p"},
    "a key with U+0000": {"idempotency_key": "\x00", "pipeline": "p"},
}


@pytest.mark.parametrize("given", REFUSED_JOBS.values(), ids=REFUSED_JOBS)
def test_a_bad_job_is_refused_and_leaves_nothing(ledger_db: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        submit(**{"name": "bad", "items": keys(1)} | given)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "policy", [{"unknown": 1}, {"failures_max": 0}, {"failure_threshold": 1.1}]
)
def test_a_bad_policy_is_refused_and_leaves_nothing(ledger_db: str, policy: Any) -> None:
    with pytest.raises(InvalidPolicy):
        submit("bad", keys(1), pipeline="p", policy=policy)
    assert not Job.objects.exists()


def test_the_installations_policy_is_the_default_of_a_job(ledger_db: str, configure: Any) -> None:
    configure(policy={"failures_max": 7, "lease_seconds": 60})
    job = submit("default", [], pipeline="p", policy={"lease_seconds": 30})
    assert (job.policy["failures_max"], job.policy["lease_seconds"]) == (7, 30)


def test_submitting_again_with_the_same_key_finds_the_same_job(ledger_db: str) -> None:
    first = submit("once", keys(3), pipeline="p", idempotency_key="k")
    again = submit("once", keys(3), pipeline="p", idempotency_key="k")
    other = submit("once", keys(3), pipeline="p", idempotency_key="k", project="other")
    without = submit("once", keys(3), pipeline="p")
    assert again.pk == first.pk
    assert len({first.pk, other.pk, without.pk}) == 3
    assert worker.kinds(first) == ["started"]


def test_a_submission_that_was_cut_off_is_gone_on_with(ledger_db: str, configure: Any) -> None:
    configure(add_chunk_items=3)

    def again() -> Job:
        return submit("cut", keys(10), pipeline="p", idempotency_key="k")

    for expected in (3, 6):  # each time it dies one chunk later
        with faults.armed("submit: chunk added", die_on_pass(expected // 3)), pytest.raises(Cut):
            again()
        assert Job.objects.get().total == expected
    succeed(worker.lease(limit=2))
    job = again()
    assert (job.total, job.sealed) == (10, True)
    assert [key for _, key, _ in stored(job)] == keys(10)
    worker.drain()
    assert status(job) == "SUCCESS"


def test_adding_again_is_safe_and_says_how_many_were_new(ledger_db: str) -> None:
    job = submit("open", keys(2), pipeline="p", seal=False)
    assert add_items(job.pk, keys(4)) == 2
    assert add_items(job.pk, keys(4)) == 0
    assert add_items(job.pk, []) == 0
    worker.drain()
    assert (status(job), counts(job)) == ("STARTED", {"succeeded": 4})
    assert add_items(job.pk, ["more"]) == 1
    worker.drain()
    assert seal(job.pk).status == "SUCCESS"
    assert seal(job.pk).status == "SUCCESS"


def test_a_sealed_job_takes_no_more_items(ledger_db: str) -> None:
    job = submit("sealed", keys(1), pipeline="p")
    with pytest.raises(WrongStatus, match="sealed"):
        add_items(job.pk, ["more"])
    assert Job.objects.get().total == 1


@pytest.mark.parametrize("grace", [0, 100])
def test_a_cancelled_job_takes_no_items_and_is_not_sealed(ledger_db: str, grace: float) -> None:
    job = submit("open", keys(2), pipeline="p", seal=False)
    worker.lease(limit=1)
    cancel(job.pk, grace_seconds=grace)
    with pytest.raises(WrongStatus):
        add_items(job.pk, ["more"])
    with pytest.raises(WrongStatus, match="can't be sealed"):
        seal(job.pk)


def test_an_unknown_job_is_not_found(ledger_db: str) -> None:
    for verb in (seal, lambda job_id: add_items(job_id, keys(1))):
        with pytest.raises(NotFound):
            verb(12345)


def test_adding_and_sealing_inside_a_transaction_are_refused(ledger_db: str) -> None:
    job = submit("open", keys(1), pipeline="p", seal=False)
    with transaction.atomic(using=ledger_db):
        with pytest.raises(NotDurable):
            add_items(job.pk, ["more"])
        with pytest.raises(NotDurable):
            seal(job.pk)
    assert Job.objects.get().total == 1


def test_a_job_appears_with_the_row_that_caused_it(ledger_db: str, saved: Any) -> None:
    from django.db import connections

    with transaction.atomic(using=ledger_db):
        with connections[ledger_db].cursor() as cursor:
            cursor.execute("INSERT INTO saved_row VALUES ('cause', 'x')")
        job = submit("together", keys(3), pipeline="p")
        assert job.total == 3
    assert saved() == {"cause": "x"}
    worker.drain()
    assert status(job) == "SUCCESS"


def test_a_job_disappears_with_the_transaction_it_joined(ledger_db: str, saved: Any) -> None:
    with transaction.atomic(using=ledger_db):
        submit("together", keys(3), pipeline="p")
        transaction.set_rollback(True, using=ledger_db)
    assert not Job.objects.exists()
    assert not Item.objects.exists()
    assert not ItemRange.objects.exists()
    assert worker.nothing()


def test_a_job_without_items_that_joined_a_transaction_finishes_after_it(ledger_db: str) -> None:
    with transaction.atomic(using=ledger_db):
        job = submit("empty", [], pipeline="p")
        assert job.status == "PENDING"
    assert status(job) == "SUCCESS"


def test_others_see_the_job_after_the_commit_only(ledger_db: str, in_thread: Any) -> None:
    if ledger_db == "sqlite":
        pytest.skip("one writer at a time")
    with transaction.atomic(using=ledger_db):
        submit("hidden", keys(1), pipeline="p")
        assert in_thread(worker.nothing).result()
    worker.lease()


def test_the_key_of_a_deleted_job_is_free_again(ledger_db: str) -> None:
    first = submit("once", keys(3), pipeline="p", idempotency_key="k")
    delete(first.pk)
    again = submit("once", keys(3), pipeline="p", idempotency_key="k")
    assert again.pk != first.pk


def test_ranges_grow_with_the_job(ledger_db: str, configure: Any) -> None:
    configure(range_items_min=10, ranges_per_job=8, add_chunk_items=100)
    submit("large", keys(400), pipeline="p")
    sizes = [row.last - row.next + 1 for row in ItemRange.objects.order_by("id")]
    assert sum(sizes) == 400
    assert sizes[0] < sizes[-1]
    assert len(sizes) <= 40


def test_items_are_added_to_a_job_whose_retry_is_through(ledger_db: str) -> None:
    job = submit("open", keys(2), pipeline="p", seal=False)
    cancel(job.pk, grace_seconds=0)
    retry(job.pk)
    add_items(job.pk, ["more"])
    seal(job.pk)
    worker.drain()
    assert counts(job) == {"succeeded": 3}
    assert status(job) == "SUCCESS"


def test_what_was_submitted_with_a_start_later_is_started_by_submitting_again(
    ledger_db: str,
) -> None:
    first = submit("later", keys(2), pipeline="p", start=False, idempotency_key="k")
    assert first.status == "CREATED"
    again = submit("later", keys(2), pipeline="p", idempotency_key="k")
    assert (again.pk, again.status) == (first.pk, "PENDING")


@pytest.mark.parametrize("items", [[""], ["a", {"key": "b", "more": 1}], ["a", "b\x00"]])
def test_bad_items_at_the_beginning_leave_no_job_behind(ledger_db: str, items: Any) -> None:
    with pytest.raises(InvalidItem):
        submit("none", items, pipeline="p")
    assert not Job.objects.exists()
