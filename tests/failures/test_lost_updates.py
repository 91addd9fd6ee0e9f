"""LU: counts that lose updates, and states derived from the wrong counts."""

from __future__ import annotations

from threading import Barrier
from typing import Any

import pytest

from joblot import faults
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.items import items
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.progress import jobs, progress
from joblot.ledger.report.hooks import on_result
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import submit
from joblot.models import Outcome
from joblot.states import JobStatus, verdict
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, kinds, status, succeed

HANDLERS = 6


def test_LU1_every_accepted_outcome_counts_once(ledger_db: str, in_thread: Any) -> None:
    job = submit("lu1", keys(HANDLERS * 4), pipeline="p")
    leases = [worker.lease(limit=4) for _ in range(HANDLERS)]
    all_have_read = Barrier(HANDLERS)

    def handle(lease: Any) -> list[str]:
        progress(job.pk)
        all_have_read.wait()
        return succeed(lease)

    handlers = [in_thread(lambda lease=lease: handle(lease)) for lease in leases]
    assert [h.result() for h in handlers] == [["counted"] * 4] * HANDLERS
    assert counts(job)["succeeded"] == Outcome.objects.filter(job_id=job.pk).count() == 24


def test_LU2_completion_is_monotone(ledger_db: str) -> None:
    """The slower handler commits after the finisher; its stale reads undo nothing."""
    job = submit("lu2", keys(2), pipeline="p")
    slow, fast = worker.lease(limit=1), worker.lease(limit=1)
    read_by_the_slow_one = progress(job.pk)
    succeed(fast)
    succeed(slow)
    assert read_by_the_slow_one["percent"] == 0
    assert (status(job), progress(job.pk)["percent"]) == ("SUCCESS", 100)
    assert succeed(slow) == ["duplicate"]
    sweep()
    assert (status(job), progress(job.pk)["percent"]) == ("SUCCESS", 100)


def test_LU4_diagnostics_are_appended_beside_the_counts(ledger_db: str) -> None:
    job = submit("lu4", keys(2), pipeline="p")
    lease = worker.lease()

    def meanwhile(results: Any) -> None:
        assert not log(job.pk, "inside the work it goes to Python's logging only")

    on_result("p")(meanwhile)
    log(job.pk, "an error", level="error")
    succeed(lease)
    log(job.pk, "another", level="error")
    assert [line["message"] for line in logs(job.pk) if not line["event"]] == [
        "an error",
        "another",
    ]
    assert counts(job) == {"succeeded": 2}


def test_LU5_open_and_settled_add_up_on_every_read(ledger_db: str) -> None:
    job = submit("lu5", keys(4), stages=TWO_STAGES)
    lease = worker.lease()
    for act in (lambda: succeed(lease, 0), lambda: succeed(lease, 0), lambda: fail(lease, 1, 2)):
        for _ in range(3):
            act()
            for stage in progress(job.pk)["stages"]:
                settled = sum(stage[s] for s in ("succeeded", "failed", "lost", "skipped"))
                assert 0 <= settled <= stage["total"]
                assert stage["ready"] >= 0
                assert stage["in_flight"] >= 0


def test_LU6_the_same_result_at_once_counts_once(ledger_db: str, in_thread: Any) -> None:
    job = submit("lu6", keys(1), pipeline="p")
    lease = worker.lease()
    posts = [in_thread(lambda: succeed(lease, output="the same")) for _ in range(4)]
    receipts = sorted(post.result()[0] for post in posts)
    assert receipts == ["counted", "duplicate", "duplicate", "duplicate"]
    assert counts(job) == {"succeeded": 1}


def test_LU6_the_mark_of_an_item_and_its_count_are_one_commit(ledger_db: str) -> None:
    """A crash between the two is impossible: before the commit there is neither."""
    job = submit("lu6", keys(1), pipeline="p")
    lease = worker.lease()

    def crash(results: Any) -> None:
        assert Outcome.objects.filter(job_id=job.pk).exists()  # marked, inside the transaction
        raise SystemExit

    on_result("p")(crash)
    with pytest.raises(SystemExit):
        succeed(lease)
    assert not Outcome.objects.filter(job_id=job.pk).exists()
    assert counts(job) == {}
    on_result("p")(lambda results: None)
    assert succeed(lease) == ["counted"]
    assert counts(job) == {"succeeded": 1}


def test_LU7_a_new_job_has_nothing_of_another(ledger_db: str) -> None:
    first = submit("a", keys(2), stages=TWO_STAGES, config={"x": [1]})
    succeed(worker.lease())
    second = submit("b", keys(2), stages=TWO_STAGES)
    assert counts(first) == {"succeeded": 2}
    state = progress(second.pk)
    assert (state["status"], state["percent"]) == ("PENDING", 0)
    assert [counts(second, stage) for stage in (0, 1)] == [{}, {}]
    assert second.config is None


@pytest.mark.parametrize("failure_first", [True, False])
def test_LU8_a_verdict_is_never_the_larger_word(ledger_db: str, failure_first: bool) -> None:
    """A failure and a success, in either order: one outcome, by the counts."""
    assert max(JobStatus.SUCCESS, JobStatus.FAILURE) is JobStatus.SUCCESS  # by alphabetical order
    job = submit("lu8", keys(3), pipeline="p")
    lease = worker.lease()
    acts = [lambda: fail(lease, 0, 1), lambda: succeed(lease, 2)]
    for act in acts if failure_first else reversed(acts):
        act()
    assert status(job) == "FAILURE"


def test_LU9_the_verdict_is_of_the_ledger_when_it_is_written(ledger_db: str) -> None:
    """49 of 100 had failed when one process read the job; 51 when the job ended."""
    job = submit("lu9", keys(100), pipeline="p")
    lease = worker.lease(limit=100)
    fail(lease, *range(49))
    assert verdict(100, 51, 0.5) is JobStatus.COMPLETED_WITH_ERRORS
    fail(lease, 49, 50)
    succeed(lease, *range(51, 100))
    assert status(job) == "FAILURE"


@pytest.mark.parametrize("end", ["done", "failed", "cancelled", "died"])
def test_LU10_every_view_says_the_same(ledger_db: str, end: str) -> None:
    job = submit("lu10", keys(2), stages=TWO_STAGES)
    if end == "done":
        worker.drain("p", "q")
    elif end == "failed":
        fail(worker.lease())
    elif end == "cancelled":
        cancel(job.pk, grace_seconds=0)
    else:
        lease = worker.lease()

        def dies() -> None:
            raise SystemExit

        with faults.armed("report: committed, not looked", dies), pytest.raises(SystemExit):
            fail(lease)
        sweep()
    detail = progress(job.pk)
    assert jobs()[0] | {"as_of": None} == detail | {"as_of": None}
    assert (detail["percent"] == 100) == (end != "cancelled")
    open_items = items(job.pk, state="open")
    last = detail["stages"][-1]
    assert len(open_items) == last["ready"] + last["in_flight"] + last["cancelled"]
    assert kinds(job).count("finished") == 1
