"""IN: incoming results."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
from django.db import connections

from joblot import faults
from joblot.errors import InvalidResult, LedgerOwned, PermanentError
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire_overdue
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.report.hooks import on_late, on_result
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests import databases
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, keys, nothing, numbers, status, succeed


def save_once(results: Any) -> None:
    """A user's hook: one row per key, whichever report comes first."""
    with connections[databases.current()].cursor() as cursor:
        for result in results:
            cursor.execute(
                "INSERT INTO saved_row (key, value) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                [result.key, str(result.output)],
            )


def test_IN1_a_report_beyond_the_limit_is_refused_and_split_not_computed_again(
    ledger_db: str, configure: Any
) -> None:
    configure(results_per_report_max=4)
    job = submit("in1", keys(8), pipeline="p")
    lease = worker.lease()
    with pytest.raises(InvalidResult, match="split"):
        succeed(lease)
    assert succeed(lease, *range(4)) + succeed(lease, *range(4, 8)) == ["counted"] * 8
    assert nothing()
    assert status(job) == "SUCCESS"


def test_IN1_an_output_beyond_the_limit_is_reported_and_harms_no_other(
    ledger_db: str, configure: Any
) -> None:
    configure(output_bytes_max=100)
    submit("in1", keys(2), pipeline="p")
    lease = worker.lease()
    results = [
        {"item": 0, "outcome": "succeeded", "output": "x" * 200},
        {"item": 1, "outcome": "succeeded"},
    ]
    assert worker.receipts(lease, *results) == ["rejected", "counted"]


def test_IN2_what_was_accepted_is_finished_by_the_next_process(ledger_db: str, saved: Any) -> None:
    """Every process dies after its commit; nothing is computed twice."""
    on_result("p")(save_once)
    job = submit("in2", keys(4), pipeline="p")

    def dies() -> None:
        raise SystemExit

    with faults.armed("report: committed, not looked", dies), pytest.raises(SystemExit):
        succeed(worker.lease())
    assert nothing()
    sweep()
    assert status(job) == "SUCCESS"
    assert sorted(saved()) == keys(4)


def test_IN3_a_result_for_an_ended_job_is_saved_and_moves_nothing(
    ledger_db: str, saved: Any
) -> None:
    on_late("p")(save_once)
    job = submit("in3", keys(2), pipeline="p")
    lease = worker.lease()
    cancel(job.pk, grace_seconds=0)
    assert succeed(lease, output="kept") == ["late", "late"]
    assert saved() == {"k0": "kept", "k1": "kept"}
    assert (status(job), counts(job)) == ("REVOKED", {})


def test_IN4_a_lease_does_not_expire_while_its_report_is_saved(
    postgres_only: str, clock: Any, in_thread: Any
) -> None:
    """The hook takes as long as ten leases; the sweep skips them, and nobody gets the items."""
    saving, go_on = Event(), Event()
    in_time: list[bool] = []

    @on_result("p")
    def slow(results: Any) -> None:
        if not saving.is_set():
            saving.set()
            in_time.append(go_on.wait(30))

    job = submit("in4", keys(4), pipeline="p", policy={"lease_seconds": 10})
    lease = worker.lease()
    reporting = in_thread(lambda: succeed(lease))
    assert saving.wait(30)
    clock.forward(100)
    try:
        assert expire_overdue() == 0
        assert nothing()
    finally:
        go_on.set()
    assert reporting.result() == ["counted"] * 4
    assert in_time == [True], "the sweep has waited for the report"
    assert status(job) == "SUCCESS"


def test_IN5_a_result_that_can_never_be_saved_fails_its_item_now(ledger_db: str) -> None:
    @on_result("p")
    def refuses(results: Any) -> None:
        if any(result.key == "k1" for result in results):
            raise PermanentError("unknown algorithm")

    job = submit("in5", keys(3), pipeline="p")
    assert succeed(worker.lease()) == ["counted"] * 3
    assert nothing()
    assert (status(job), counts(job)) == ("COMPLETED_WITH_ERRORS", {"succeeded": 2, "failed": 1})
    (failed,) = items(job.pk, state="failed")
    assert "unknown algorithm" in failed["outcomes"][0]["error"]["message"]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_IN7_a_failure_at_any_step_of_saving_leaves_the_item_open(
    ledger_db: str, saved: Any, step: int
) -> None:
    def breaks_after(results: Any) -> None:
        if step == 1:
            raise ConnectionError
        save_once(results)
        if step == 2:
            raise ConnectionError
        raise SystemExit

    on_result("p")(breaks_after)
    job = submit("in7", keys(1), pipeline="p")
    lease = worker.lease()
    if step == 3:
        with pytest.raises(SystemExit):
            succeed(lease)
    else:
        assert succeed(lease) == ["deferred"]
    assert (saved(), counts(job)) == ({}, {})
    on_result("p")(save_once)
    assert succeed(lease) == ["counted"]
    assert list(saved()) == ["k0"]


def test_IN8_the_same_image_in_two_jobs_at_once_is_saved_once(
    ledger_db: str, saved: Any, in_thread: Any
) -> None:
    on_result("p")(save_once)
    jobs = [submit(name, ["image"], pipeline="p") for name in ("a", "b")]
    leases = [worker.lease(job=job.pk) for job in jobs]
    reports = [in_thread(lambda lease=lease: succeed(lease, output=1)) for lease in leases]
    assert [report.result() for report in reports] == [["counted"], ["counted"]]
    assert saved() == {"image": "1"}
    assert [status(job) for job in jobs] == ["SUCCESS", "SUCCESS"]


def test_IN9_derived_work_is_a_stage_that_is_seen_and_tried_again(
    ledger_db: str, clock: Any
) -> None:
    job = submit("in9", keys(2), stages=TWO_STAGES, policy={"lease_seconds": 10})
    succeed(worker.lease("p"))
    worker.lease("q")  # the cropping worker never responds again
    assert progress(job.pk)["stages"][1]["in_flight"] == 2
    clock.forward(11)
    sweep()
    assert progress(job.pk)["stages"][1]["ready"] == 2
    assert status(job) == "STARTED"
    worker.drain("q")
    assert status(job) == "SUCCESS"


def test_IN10_a_run_keeps_the_config_it_began_with(ledger_db: str) -> None:
    job = submit("in10", keys(2), pipeline="p", config={"threshold": 1})
    first = worker.lease(limit=1)
    edited = Job.objects.get()
    edited.config = {"threshold": 2}
    edited.save()
    second = worker.lease(limit=1)
    assert first.config == second.config == {"threshold": 1}
    with pytest.raises(LedgerOwned):
        Job.objects.update(config={"threshold": 2})
    cancel(job.pk, grace_seconds=0)
    retry(job.pk, config={"threshold": 2})
    again = worker.lease()
    assert (again.run, again.config) == (2, {"threshold": 2})
    assert numbers(again) == [0, 1]
