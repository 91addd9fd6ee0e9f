"""A submission refused in the middle: its error names the job, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import pytest
from django.db import connections, transaction

from joblot.errors import InvalidItem, JoblotError, KeyConflict, Unavailable, WrongStatus
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Job
from joblot.testing.simulator.trouble import Kind, Trouble, injected
from tests.ledger import worker
from tests.ledger.worker import counts, keys, status, succeed

BAD = {"key": "", "payload": 1}


@pytest.fixture(autouse=True)
def small_chunks(configure: Any) -> None:
    configure(add_chunk_items=2)


def refused(items: Any, **more: Any) -> JoblotError:
    with pytest.raises(JoblotError) as caught:
        submit("left", items, pipeline="p", **more)
    return caught.value


def test_with_a_key_it_says_to_submit_again_and_that_completes_the_job(ledger_db: str) -> None:
    error = refused([*keys(4), BAD], idempotency_key="k")
    job = Job.objects.get()
    assert (error.job_id, error.total) == (job.pk, 4)
    assert isinstance(error, InvalidItem)
    assert f"job {job.pk} stays open with 4 items" in str(error)
    assert "submit again with the same idempotency key" in str(error)
    again = submit("left", [*keys(4), "good"], pipeline="p", idempotency_key="k")
    assert (again.pk, again.total, again.sealed) == (job.pk, 5, True)


def test_without_a_key_it_says_to_add_the_rest_or_to_delete_the_job(ledger_db: str) -> None:
    error = refused([*keys(4), BAD])
    assert error.job_id is not None
    assert "add the missing items to it and seal it" in str(error)
    add_items(error.job_id, ["good"])
    assert seal(error.job_id).total == 5


def test_what_workers_have_done_meanwhile_is_kept(ledger_db: str) -> None:
    def stream() -> Iterator[Any]:
        yield from keys(4)
        succeed(worker.lease())  # of the chunks added so far
        yield BAD

    error = refused(stream())
    job = Job.objects.get()
    assert error.job_id == job.pk
    assert counts(job) == {"succeeded": 4}


def test_what_another_submission_with_the_key_adds_meanwhile_is_kept(ledger_db: str) -> None:
    """It continues when the first is refused, and completes the job that both fill."""

    def whole() -> Iterator[Any]:
        yield from keys(3)
        error = refused([*keys(4), BAD], idempotency_key="k")
        assert error.total == 4
        yield from ["k3", "k4", "k5"]

    job = submit("left", whole(), pipeline="p", idempotency_key="k")
    assert (job.total, job.sealed, Job.objects.count()) == (6, True, 1)
    worker.drain()
    assert status(job) == "SUCCESS"


def test_an_error_of_the_stream_itself_names_the_job_in_a_note(ledger_db: str) -> None:
    def stream() -> Iterator[str]:
        yield from keys(4)
        raise ZeroDivisionError("theirs")

    with pytest.raises(ZeroDivisionError, match="theirs") as caught:
        submit("left", stream(), pipeline="p")
    (note,) = caught.value.__notes__
    assert f"job {Job.objects.get().pk} stays open with 4 items" in note


def test_an_error_in_the_first_chunk_names_no_job_for_there_is_none(ledger_db: str) -> None:
    error = refused([BAD])
    assert (error.job_id, error.total) == (None, None)
    assert "stays open" not in str(error)
    assert not Job.objects.exists()


def test_a_sealed_job_is_named_and_not_called_open(ledger_db: str) -> None:
    job = submit("left", keys(4), pipeline="p", idempotency_key="k")
    error = refused([*keys(4), "new"], idempotency_key="k")
    assert isinstance(error, KeyConflict)
    assert (error.job_id, error.total) == (job.pk, 4)
    assert "stays open" not in str(error)


def test_with_fewer_items_than_it_has_the_job_is_named_once(ledger_db: str) -> None:
    submit("left", keys(4), pipeline="p", idempotency_key="k", seal=False)
    error = refused(keys(2), idempotency_key="k")
    assert (error.job_id, error.total) == (Job.objects.get().pk, 4)
    assert str(error).count("open") == 1


@pytest.mark.parametrize("end", [cancel, delete])
def test_a_job_that_is_ended_meanwhile_is_not_called_open(ledger_db: str, end: Any) -> None:
    def stream() -> Iterator[Any]:
        yield from keys(4)
        end(Job.objects.get().pk)
        yield BAD

    error = refused(stream())
    assert isinstance(error, InvalidItem)
    assert "stays open" not in str(error)


def test_items_that_are_added_are_to_be_sent_again(ledger_db: str) -> None:
    job = submit("left", [], pipeline="p", seal=False)
    with pytest.raises(InvalidItem, match="send all of the items again") as caught:
        add_items(job.pk, [*keys(2), BAD])
    assert (caught.value.job_id, caught.value.total) == (job.pk, 2)
    seal(job.pk)
    with pytest.raises(WrongStatus) as late:
        add_items(job.pk, ["new"])
    assert (late.value.job_id, "stays open" in str(late.value)) == (job.pk, False)


def test_a_database_that_goes_away_in_the_middle_names_the_job_too(ledger_db: str) -> None:
    """At each statement: from the one that creates the job onwards, the error names it."""
    message = list(takewhile(bool, map(cut_at, range(100))))
    named = [error for error in message if error and error.job_id is not None]
    assert len(named) > 3
    for error in named:
        assert f"job {error.job_id} was made, with" in str(error)
        assert error.job_id is not None
        assert Job.objects.filter(pk=error.job_id).exists()


def cut_at(statement: int) -> Unavailable | None:
    """The error when the connection drops at this statement; None if there is none."""
    with injected(Trouble(Kind.CUT, statement)):
        try:
            submit("left", keys(4), pipeline="p")
        except Unavailable as error:
            return error
    return None


def test_inside_a_transaction_no_job_is_named_that_goes_with_it(ledger_db: str) -> None:
    with pytest.raises(InvalidItem) as caught, transaction.atomic(using=ledger_db):
        submit("left", [*keys(4), BAD], pipeline="p")
    assert caught.value.job_id is None
    assert "stays open" not in str(caught.value)
    assert not connections[ledger_db].in_atomic_block
    assert not Job.objects.exists()
