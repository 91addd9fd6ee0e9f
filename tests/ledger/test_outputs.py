"""Outputs too large for a row are kept in the project's storage, once, and read from there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.storage import default_storage, storages
from django.test import override_settings

from joblot.ledger.items import items, outputs
from joblot.ledger.lifecycle import cancel
from joblot.ledger.outputs import output_of, storage
from joblot.ledger.submit import submit
from joblot.models import Outcome, Uncounted
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, keys, receipts, status, succeed

LARGE = {"text": "ü" * 100}


@pytest.fixture(autouse=True)
def in_memory(configure: Any) -> Iterator[None]:
    configure(output_bytes_inline_max=100, output_bytes_max=1_000)
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    with override_settings(STORAGES={"joblot": memory, "default": memory}):
        yield


def files() -> list[str]:
    names = []
    for folder in storage().listdir("joblot/outputs")[0]:
        names += storage().listdir(f"joblot/outputs/{folder}")[1]
    return names


def test_a_large_output_goes_to_the_storage_and_comes_back(ledger_db: str) -> None:
    job = submit("large", keys(2), stages=TWO_STAGES)
    assert receipts(worker.lease("p"), success(0, LARGE), success(1, "small")) == ["counted"] * 2
    large, small = Outcome.objects.order_by("number")
    assert large.output is None
    assert large.output_ref.startswith("joblot/outputs/")
    assert (small.output, small.output_ref) == ("small", None)
    assert [i.input for i in worker.lease("q").items] == [LARGE, "small"]
    assert dict(outputs(job.pk, stage="read")) == {"k0": LARGE, "k1": "small"}
    assert output_of(None, large.output_ref) == LARGE


def test_the_same_output_is_stored_once(ledger_db: str) -> None:
    submit("same", keys(3), pipeline="p")
    lease = worker.lease()
    assert succeed(lease, output=LARGE) == ["counted"] * 3
    assert succeed(lease, output=LARGE) == ["duplicate"] * 3
    assert len(files()) == 1


def test_a_file_that_a_crash_has_cut_off_is_written_anew(ledger_db: str) -> None:
    from django.core.files.base import ContentFile

    submit("cut", keys(2), pipeline="p")
    lease = worker.lease()
    succeed(lease, 0, output=LARGE)
    ref = str(Outcome.objects.get().output_ref)
    storage().delete(ref)
    storage().save(ref, ContentFile(b"cut"))
    succeed(lease, 1, output=LARGE)
    again = Outcome.objects.get(number=1)
    assert output_of(again.output, again.output_ref) == LARGE


def test_an_output_beyond_the_limit_is_rejected_and_its_neighbour_counted(ledger_db: str) -> None:
    job = submit("too large", keys(2), pipeline="p")
    lease = worker.lease()
    assert receipts(lease, success(0, "x" * 999), success(1)) == ["rejected", "counted"]
    assert counts(job) == {"succeeded": 1}
    assert receipts(lease, failure(0, "TooLarge")) == ["counted"]


@pytest.mark.parametrize(("size", "stored"), [(98, False), (99, True)])
def test_the_limit_is_in_bytes_and_exact(ledger_db: str, size: int, *, stored: bool) -> None:
    submit("limit", keys(1), pipeline="p")
    succeed(worker.lease(), output="x" * size)  # and two quotes
    assert (Outcome.objects.get().output_ref is not None) is stored


def test_late_and_conflicting_outputs_are_stored_too(ledger_db: str) -> None:
    job = submit("late", keys(2), pipeline="p")
    lease = worker.lease()
    succeed(lease, 0)
    assert succeed(lease, 0, output=LARGE) == ["conflicting"]
    cancel(job.pk, grace_seconds=0)
    assert succeed(lease, 1, output=LARGE) == ["late"]
    refs = set(Uncounted.objects.values_list("output_ref", flat=True))
    assert len(refs) == 1
    assert output_of(None, refs.pop()) == LARGE
    assert status(job) == "REVOKED"


def test_without_a_storage_of_its_own_the_default_one_is_used() -> None:
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    with override_settings(STORAGES={"default": memory}):
        assert storage() is default_storage
    assert storage() is storages["joblot"]


def test_items_tell_where_a_large_output_is(ledger_db: str) -> None:
    job = submit("large", keys(1), pipeline="p")
    succeed(worker.lease(), output=LARGE)
    assert items(job.pk)[0]["outcomes"][0]["output_ref"] == Outcome.objects.get().output_ref
