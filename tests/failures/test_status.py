"""ST: start, cancel, retry and delete that overwrite each other."""

from __future__ import annotations

from typing import Any

import pytest

from joblot import faults
from joblot.errors import NotFound, WrongStatus
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, delete, start
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.progress import progress
from joblot.ledger.report.hooks import on_event, on_late
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Item, ItemRange, Job, Tally
from joblot.states import CLAIMABLE, TERMINAL
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, kinds, nothing, numbers, status, succeed


def cancelled(items: int = 4, **more: Any) -> Any:
    job = submit("st", keys(items), pipeline="p", **more)
    cancel(job.pk, grace_seconds=0)
    return job


def test_ST1_terminal_is_absorbing(ledger_db: str) -> None:
    job = submit("st1", keys(1), pipeline="p")
    lease = worker.lease()
    stale = Job.objects.get()
    cancel(job.pk, grace_seconds=0)
    assert succeed(lease) == ["late"]
    stale.save()
    sweep()
    assert status(job) == "REVOKED"
    assert nothing()


@pytest.mark.parametrize("cancel_first", [True, False])
def test_ST2_cancel_and_completion_have_one_winner(ledger_db: str, cancel_first: bool) -> None:
    job = submit("st2", keys(1), pipeline="p")
    lease = worker.lease()
    if cancel_first:
        cancel(job.pk, grace_seconds=0)
        succeed(lease)
        assert status(job) == "REVOKED"
    else:
        succeed(lease)
        with pytest.raises(WrongStatus, match="Succeeded"):
            cancel(job.pk)
        assert status(job) == "SUCCESS"
    assert kinds(job).count("finished") == 1


def test_ST3_a_cancelled_job_does_not_start(ledger_db: str) -> None:
    job = submit("st3", keys(4), pipeline="p", start=False)
    cancel(job.pk, grace_seconds=0)
    assert start(job.pk).status == "REVOKED"
    assert nothing()


def test_ST4_filling_goes_no_further_after_a_cancel(ledger_db: str, configure: Any) -> None:
    """The dispatcher is stopped between two chunks and then finds the job canceled."""
    configure(add_chunk_items=2)

    def stream() -> Any:
        yield from keys(4)
        cancel(Job.objects.get().pk, grace_seconds=0)
        yield from ("late-1", "late-2")

    with pytest.raises(WrongStatus, match="takes no items"):
        submit("st4", stream(), pipeline="p")
    job = Job.objects.get()
    assert (job.status, job.total) == ("REVOKED", 4)
    assert nothing()


def test_ST5_what_befalls_the_submitter_is_not_the_jobs_outcome(
    ledger_db: str, configure: Any
) -> None:
    """The job is created with the first chunk of its items."""
    configure(add_chunk_items=2)

    def stream() -> Any:
        yield from keys(4)
        raise RuntimeError("the dispatcher dies")

    with pytest.raises(RuntimeError):
        submit("st5", stream(), pipeline="p", idempotency_key="st5")
    job = Job.objects.get()
    assert job.status in CLAIMABLE
    submit("st5", keys(4), pipeline="p", idempotency_key="st5")
    worker.drain()
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 4})


def test_ST6_a_filled_job_is_not_a_done_job(ledger_db: str) -> None:
    job = submit("st6", keys(4), pipeline="p")
    sweep()
    assert (status(job), progress(job.pk)["percent"]) == ("PENDING", 0)


def test_ST7_ST8_status_is_asked_of_the_ledger_alone(ledger_db: str, clock: Any) -> None:
    """No result backend is asked; a year without news about a job changes nothing."""
    job = submit("st7", keys(2), pipeline="p")
    succeed(worker.lease(limit=1))
    clock.forward(365 * 86_400)
    sweep()
    assert status(job) == "STARTED"
    succeed(worker.lease())
    assert status(job) == "SUCCESS"


def test_ST9_a_retry_counts_its_own_run_only(ledger_db: str) -> None:
    job = submit("st9", keys(10), pipeline="p")
    old = worker.lease(limit=10)
    succeed(old, *range(5))
    cancel(job.pk, grace_seconds=0)
    retry(job.pk)
    assert set(succeed(old, *range(5, 10))) == {"late"}
    assert counts(job) == {"succeeded": 5}
    new = worker.lease(limit=16)
    assert numbers(new) == list(range(5, 10))
    succeed(new)
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 10})


def test_ST9_signals_of_the_old_run_change_nothing(ledger_db: str) -> None:
    job = submit("st9", keys(2), pipeline="p")
    old = worker.lease()
    cancel(job.pk, grace_seconds=0)
    retry(job.pk)
    assert fail(old) == ["late", "late"]
    assert (status(job), counts(job)) == ("PENDING", {})


def test_ST10_starting_twice_starts_once(ledger_db: str, in_thread: Any) -> None:
    job = submit("st10", keys(4), pipeline="p", start=False)
    clicks = [in_thread(lambda: start(job.pk).status) for _ in range(2)]
    assert [click.result() for click in clicks] == ["PENDING", "PENDING"]
    assert kinds(job).count("started") == 1
    assert numbers(worker.lease()) == [0, 1, 2, 3]
    assert nothing()


def test_ST10_submitting_twice_with_a_key_makes_one_job(ledger_db: str) -> None:
    made = [submit("st10", keys(4), pipeline="p", idempotency_key="k").pk for _ in range(2)]
    assert made[0] == made[1]
    assert Item.objects.count() == 4


def test_ST11_a_cancel_always_ends(ledger_db: str, clock: Any) -> None:
    """CANCELING has an owner, the sweep, and a deadline, the grace."""
    job = submit("st11", keys(4), pipeline="p", policy={"cancel_grace_seconds": 30})
    worker.lease(limit=2)  # and never responds again
    assert cancel(job.pk).status == "CANCELING"
    sweep()
    assert status(job) == "CANCELING"
    clock.forward(31)
    sweep()
    assert status(job) == "REVOKED"


def test_ST11_a_job_that_nobody_works_is_cancelled_at_once(ledger_db: str) -> None:
    job = submit("st11", keys(4), pipeline="p")
    assert cancel(job.pk).status == "REVOKED"


def test_ST12_the_intent_is_committed_before_what_follows(ledger_db: str) -> None:
    """The canceller dies after its first commit; the job still ends and serves nothing."""
    job = submit("st12", keys(4), pipeline="p")
    Job.ledger.filter(pk=job.pk).update(status="CANCELING", version=Job.objects.get().version + 1)
    assert nothing()
    sweep()
    assert status(job) == "REVOKED"


def test_ST13_the_life_of_a_job_hangs_on_no_handler(ledger_db: str) -> None:
    @on_event("finished", "started", "claimed")
    def breaks(event: Any) -> None:
        raise KeyError("job_id")

    job = submit("st13", keys(2), pipeline="p")
    succeed(worker.lease())
    sweep()
    assert status(job) == "SUCCESS"


def test_ST14_delete_is_cancel_drain_and_tombstone(ledger_db: str) -> None:
    saved: list[str] = []
    on_late("p")(lambda results: saved.extend(r.key for r in results))
    job = submit("st14", keys(4), pipeline="p")
    lease = worker.lease(limit=2)
    delete(job.pk)
    assert nothing()
    (receipt, _) = report(lease.token, [success(0), success(1)])
    assert (receipt.receipt, receipt.reason) == ("late", "the job was deleted")
    assert saved == ["k0", "k1"]
    sweep()
    sweep()
    assert not any(t.objects.filter(job_id=job.pk).exists() for t in (Item, ItemRange, Tally))
    with pytest.raises(NotFound):
        progress(job.pk)


def test_ST15_cancel_stops_the_workers(ledger_db: str) -> None:
    job = submit("st15", keys(8), pipeline="p")
    succeed(worker.lease(limit=4))
    cancel(job.pk, grace_seconds=60)
    assert not claim("p").leases
    assert CLAIMABLE.isdisjoint(TERMINAL | {"CREATED", "PAUSED", "CANCELING"})


def test_ST4_a_cancelled_job_is_not_sealed_or_filled(ledger_db: str) -> None:
    job = cancelled(seal=False)
    for act in (lambda: seal(job.pk), lambda: add_items(job.pk, ["x"])):
        with pytest.raises(WrongStatus):
            act()


def test_ST3_a_retry_that_was_cancelled_while_it_reopened_stays_cancelled(ledger_db: str) -> None:
    job = cancelled()

    def cancel_it() -> None:
        cancel(job.pk, grace_seconds=0)

    with faults.armed("retry: next run begun", cancel_it):
        retry(job.pk)
    sweep()
    assert status(job) == "REVOKED"
    assert nothing()
