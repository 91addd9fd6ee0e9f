"""Outputs too large for a row are stored once, in the project's storage, and read from there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, default_storage, storages
from django.test import override_settings

from joblot import faults
from joblot.config import limits
from joblot.errors import PermanentError
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.job.prune import prune
from joblot.ledger.read.items import items, outputs
from joblot.ledger.report.hooks import on_result
from joblot.ledger.report.report import report
from joblot.ledger.rows.outputs import output_of, storage
from joblot.ledger.submit.submit import submit
from joblot.models import Outcome, StoredOutput, Uncounted
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.large_files import LARGE, collect, files, in_memory
from tests.ledger.statuses import Cut, die
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, receipts, status, succeed

__all__ = ["in_memory"]

ANY_AGE = timedelta(seconds=-1)


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


def test_a_file_that_was_cut_off_is_not_referred_to_again(ledger_db: str) -> None:
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


def test_items_say_where_a_large_output_is(ledger_db: str) -> None:
    job = submit("large", keys(1), pipeline="p")
    succeed(worker.lease(), output=LARGE)
    assert items(job.pk)[0]["outcomes"][0]["output_ref"] == Outcome.objects.get().output_ref


# Judged before it is stored


def test_what_is_not_kept_is_not_stored(ledger_db: str) -> None:
    job = submit("judged", keys(3), pipeline="p")
    lease = worker.lease()
    succeed(lease, 0, output=LARGE)
    for output in ({"again": "ü" * 100}, {"again": "ü" * 100}):
        assert succeed(lease, 0, output=output) == ["conflicting"]
    assert len(files()) == 2
    assert receipts(lease, success(99, {"unknown": "ü" * 100})) == ["rejected"]
    assert receipts(str(uuid4()), success(0, {"no lease": "ü" * 100})) == ["rejected"]
    assert succeed(lease, 0, output=LARGE) == ["duplicate"]
    cancel(job.pk, grace_seconds=0)
    assert succeed(lease, 1, output={"late": "ü" * 100}) == ["late"]
    assert succeed(lease, 1, output={"later": "ü" * 100}) == ["late"]
    assert fail(lease, 2) == ["late"]
    assert len(files()) == 3


def test_one_result_of_many_waits_for_no_file_but_its_own(ledger_db: str) -> None:
    job = submit("many", keys(4), pipeline="p")
    lease = worker.lease()
    given = [success(0), success(1, LARGE), failure(2, "Bad", "broken"), success(3, LARGE)]
    assert receipts(lease, *given) == ["counted"] * 4
    assert (status(job), counts(job)) == ("COMPLETED_WITH_ERRORS", {"succeeded": 3, "failed": 1})
    assert len(files()) == 1


class Broken(InMemoryStorage):
    def _save(self, name: str, content: Any) -> str:
        raise OSError("the bucket is full")


def test_a_result_that_could_not_be_stored_is_deferred_and_its_neighbour_counted(
    ledger_db: str,
) -> None:
    job = submit("full", keys(2), pipeline="p")
    lease = worker.lease()
    broken = {"BACKEND": f"{__name__}.Broken"}
    with override_settings(STORAGES={"joblot": broken, "default": broken}):
        first, second = report(lease.token, [success(0, LARGE), success(1)])
    assert (first.receipt, second.receipt) == ("deferred", "counted")
    assert "the bucket is full" in first.reason
    assert succeed(lease, 0, output=LARGE) == ["counted"]
    assert status(job) == "SUCCESS"


# Removed with their references


def test_the_file_goes_with_its_job(ledger_db: str) -> None:
    job = submit("one", keys(2), pipeline="p")
    lease = worker.lease()
    assert receipts(lease, success(0, LARGE), success(1, {"other": "ü" * 100})) == ["counted"] * 2
    assert len(files()) == 2
    delete(job.pk)
    collect()
    assert files() == []
    assert not StoredOutput.objects.exists()


def test_a_file_that_another_job_refers_to_stays(ledger_db: str) -> None:
    first, second = (submit(name, keys(1), pipeline=name) for name in ("p", "q"))
    for name in ("p", "q"):
        succeed(worker.lease(name), output=LARGE)
    assert len(files()) == 1
    delete(first.pk)
    collect()
    assert dict(outputs(second.pk)) == {"k0": LARGE}
    assert prune(ANY_AGE) == 2
    collect()
    assert files() == []


def test_late_and_conflicting_files_go_with_the_leases(ledger_db: str) -> None:
    job = submit("late", keys(2), pipeline="p")
    lease = worker.lease()
    succeed(lease, 0)
    succeed(lease, 0, output=LARGE)
    delete(job.pk)
    collect()
    assert files() == []
    assert succeed(lease, 1, output=LARGE) == ["late"]
    assert len(files()) == 1
    prune(ANY_AGE)
    collect()
    assert files() == []


@pytest.mark.parametrize("point", ["outputs: stored, not said", "report: committed, not looked"])
def test_a_file_of_a_report_that_died_is_removed_after_a_while_if_nothing_refers_to_it(
    ledger_db: str, clock: Any, point: str
) -> None:
    submit("died", keys(1), pipeline="p")
    lease = worker.lease()
    with faults.armed(point, die), pytest.raises(Cut):
        succeed(lease, output=LARGE)
    settled = Outcome.objects.count()
    clock.forward(limits().output_unsettled_seconds - 1)
    collect()
    assert len(files()) == 1
    for _ in range(2):
        clock.forward(limits().output_unsettled_seconds)
        collect()
        assert len(files()) == settled
    assert succeed(lease, output=LARGE) == (["duplicate"] if settled else ["counted"])


def test_the_file_of_a_result_that_the_hook_refuses_for_good_goes_at_once(ledger_db: str) -> None:
    @on_result("p")
    def refuse(results: Any) -> None:
        if results[0].number == 0:
            raise PermanentError("no")

    job = submit("refused", keys(2), pipeline="p")
    lease = worker.lease()
    assert succeed(lease, 0, output=LARGE) == ["counted"]
    assert counts(job) == {"failed": 1}
    assert len(files()) == 1
    collect()
    assert files() == []
    assert receipts(lease, success(1, LARGE)) == ["counted"]
    collect()
    assert dict(outputs(job.pk)) == {"k1": LARGE}


def test_the_file_of_a_refused_result_stays_for_another_that_was_counted(ledger_db: str) -> None:
    @on_result("p")
    def refuse(results: Any) -> None:
        if any(result.number == 0 for result in results):
            raise PermanentError("no")

    job = submit("refused", keys(2), pipeline="p")
    assert succeed(worker.lease(), output=LARGE) == ["counted"] * 2
    collect()
    assert dict(outputs(job.pk)) == {"k1": LARGE}


def test_the_file_of_a_result_that_is_to_be_posted_again_is_kept_and_not_stored_twice(
    ledger_db: str, clock: Any
) -> None:
    fails = [True]

    @on_result("p")
    def hook(results: Any) -> None:
        if fails:
            raise OSError("later")

    submit("deferred", keys(1), pipeline="p")
    lease = worker.lease()
    assert succeed(lease, output=LARGE) == ["deferred"]
    collect()
    names = files()
    assert len(names) == 1
    fails.clear()
    assert succeed(lease, output=LARGE) == ["counted"]
    clock.forward(limits().output_unsettled_seconds)
    collect()
    assert files() == names
