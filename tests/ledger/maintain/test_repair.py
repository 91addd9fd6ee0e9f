"""Repair fixes what is derived from outcomes, reports its changes, and changes no outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction

from joblot.errors import NotDurable, NotFound
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.maintain.repair import repair
from joblot.ledger.read.audit import audit, audit_all
from joblot.ledger.read.log_lines import logs
from joblot.ledger.submit.submit import submit
from joblot.models import Event, Job, Lease, Outcome, Tally
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, drain, fail, keys, metrics, status, succeed
from tests.threads import Threads

Spoil = Callable[..., None]


@pytest.fixture
def spoil(ledger_db: str) -> Spoil:
    """Corrupt the tables directly: `spoil("UPDATE …", *params)`."""

    def execute(sql: str, *params: Any) -> None:
        with connections[ledger_db].cursor() as cursor:
            cursor.execute(sql, params)

    return execute


def outcomes(job: Job) -> list[tuple[Any, ...]]:
    rows = Outcome.objects.filter(job_id=job.pk).order_by("stage", "number")
    return list(rows.values_list("stage", "number", "state", "run", "lease_token", "settled_at"))


def broken(job: Job) -> list[str]:
    return [check["invariant"] for check in audit(job.pk)["checks"] if not check["ok"]]


def kinds(job: Job) -> list[str]:
    return list(Event.objects.filter(job_id=job.pk).order_by("pk").values_list("kind", flat=True))


MORE = (
    "UPDATE joblot_tally SET succeeded = succeeded + 3, late = late + 1 "
    "WHERE job_id = %s AND stage = 0"
)
STRANGE_METRIC = (
    "INSERT INTO joblot_metric (job_id, stage, slot, name, value) VALUES (%s, 0, 9, 'x', 4)"
)


def test_an_exact_job_drifts_by_nothing_and_is_left_as_it_is(ledger_db: str):
    job = submit("exact", keys(4), stages=TWO_STAGES)
    fail(worker.lease(limit=1))
    version = Job.objects.get().version
    answer = repair(job.pk)
    assert (answer["ok"], answer["count_drift"], answer["changes"]) == (True, 0, [])
    assert Job.objects.get().version == version


def test_the_drift_is_the_sum_of_all_differences(ledger_db: str, spoil: Spoil):
    job = submit("drifts", keys(4), stages=TWO_STAGES)
    succeed(worker.lease(limit=2))
    spoil(MORE, job.pk)
    spoil("INSERT INTO joblot_tally (job_id, stage, slot, failed) VALUES (%s, 1, 60, -2)", job.pk)
    assert audit(job.pk)["count_drift"] == 3 + 1 + 2
    (one,) = audit_all()
    assert (one["job"], one["ok"], one["count_drift"]) == (job.pk, False, 6)
    repair(job.pk)


def test_the_tallies_of_a_running_job_become_the_recount(ledger_db: str, spoil: Spoil):
    job = submit("running", keys(5), stages=TWO_STAGES)
    succeed(worker.lease(limit=2), output="ab")
    fail(worker.lease(limit=1))
    before = outcomes(job)
    spoil(MORE, job.pk)
    spoil("DELETE FROM joblot_tally WHERE job_id = %s AND stage = 1", job.pk)
    answer = repair(job.pk)
    assert answer["ok"]
    assert answer["count_drift"] == 0
    assert [change["what"] for change in answer["changes"]] == [
        "tallies of read",
        "late results of read",
        "tallies of save",
    ]
    assert counts(job) == {"succeeded": 2, "failed": 1}
    assert counts(job, 1) == {"skipped": 1}
    assert outcomes(job) == before
    assert any("repair: tallies of read" in line["message"] for line in logs(job.pk))
    drain("p", "q")
    assert status(job) == "COMPLETED_WITH_ERRORS"


def test_metrics_become_the_sums_of_the_outcomes(ledger_db: str, spoil: Spoil):
    job = submit("measured", keys(2), pipeline="p")
    lease = worker.lease(limit=1)
    worker.receipts(lease, success(0, None, {"bytes": 7}))
    spoil("UPDATE joblot_metric SET value = 5 WHERE job_id = %s", job.pk)
    spoil(STRANGE_METRIC, job.pk)
    assert broken(job) == ["metrics drift by nothing"]
    answer = repair(job.pk)
    assert answer["ok"]
    assert {k: v for k, v in metrics(job).items() if v} == {"bytes": 7}


def test_a_job_that_could_not_end_for_a_wrong_tally_ends(ledger_db: str, spoil: Spoil):
    job = submit("stuck", keys(2), pipeline="p")
    succeed(worker.lease(limit=1))
    spoil("UPDATE joblot_tally SET succeeded = 0 WHERE job_id = %s", job.pk)
    succeed(worker.lease(limit=1))
    assert status(job) == "STARTED"
    assert repair(job.pk)["ok"]
    assert status(job) == "SUCCESS"
    assert kinds(job).count("finished") == 1


def test_open_items_that_are_nowhere_wait_again(ledger_db: str, spoil: Spoil):
    job = submit("lost", keys(6), pipeline="p")
    held = worker.lease(limit=2)
    spoil("DELETE FROM joblot_range WHERE job_id = %s", job.pk)
    assert broken(job) == ["open items of p not in exactly one range or live lease"]
    answer = repair(job.pk)
    assert answer["ok"]
    assert answer["changes"] == [{"what": "open items of p nowhere", "before": 4, "after": 0}]
    succeed(held)
    drain()
    assert (counts(job), status(job)) == ({"succeeded": 6}, "SUCCESS")


def test_leases_of_a_revoked_job_are_closed(ledger_db: str, spoil: Spoil):
    job = submit("revoked", keys(2), pipeline="p")
    lease = worker.lease(limit=1)
    cancel(job.pk, grace_seconds=0)
    spoil("UPDATE joblot_lease SET state = 2 WHERE job_id = %s", job.pk)
    assert broken(job) == ["leases of a revoked job that are not closed"]
    assert repair(job.pk)["ok"]
    assert Lease.objects.get().state == 3
    assert succeed(lease) == ["late"]


# A job that has ended


def test_tallies_that_were_spoiled_after_the_end_become_what_was_recorded(
    ledger_db: str, spoil: Spoil
):
    job = submit("ended", keys(3), pipeline="p")
    drain()
    spoil(MORE, job.pk)
    assert not audit(job.pk)["ok"]
    assert repair(job.pk)["ok"]
    assert (status(job), kinds(job).count("amended")) == ("SUCCESS", 0)


def test_a_report_that_said_too_little_is_amended(ledger_db: str, spoil: Spoil):
    """Two of four succeeded, but the tallies and the report showed one."""
    job = submit("too little", keys(4), pipeline="p", policy={"failure_threshold": 0.6})
    succeed(worker.lease(limit=2))
    spoil("UPDATE joblot_tally SET succeeded = 1, failed = 1 WHERE job_id = %s", job.pk)
    fail(worker.lease(limit=2))
    assert status(job) == "FAILURE"
    answer = repair(job.pk)
    assert answer["ok"]
    assert (counts(job), status(job)) == ({"succeeded": 2, "failed": 2}, "COMPLETED_WITH_ERRORS")
    assert kinds(job)[-1] == "amended"


def test_a_report_with_too_high_counts_stays_and_is_named(ledger_db: str, spoil: Spoil):
    """A published success can't be taken back; the audit keeps reporting it."""
    job = submit("too much", keys(4), pipeline="p")
    succeed(worker.lease(limit=2))
    spoil("UPDATE joblot_tally SET succeeded = 3, failed = -1 WHERE job_id = %s", job.pk)
    fail(worker.lease(limit=2))
    before = Job.objects.values().get(), list(Tally.objects.values()), outcomes(job)
    assert repair(job.pk) == {**audit(job.pk), "changes": []}
    assert not audit(job.pk)["ok"]
    assert (Job.objects.values().get(), list(Tally.objects.values()), outcomes(job)) == before
    delete(job.pk)  # the suite checks every job that is left


# Concurrent with others


def test_two_repairs_at_once_mend_once(ledger_db: str, spoil: Spoil, in_thread: Threads):
    job = submit("twice", keys(8), pipeline="p")
    succeed(worker.lease(limit=4))
    spoil(MORE, job.pk)
    calls = [in_thread(repair, job.pk) for _ in range(4)]
    changed = [call.result()["changes"] for call in calls]
    assert sum(bool(changes) for changes in changed) == 1
    assert audit(job.pk)["count_drift"] == 0


def test_a_repair_beside_reports_takes_nothing_from_them(
    ledger_db: str, spoil: Spoil, in_thread: Threads
):
    job = submit("busy", keys(64), pipeline="p")
    succeed(worker.lease(limit=8))
    spoil(MORE, job.pk)
    working = [in_thread(work_by_fours) for _ in range(3)]
    repair(job.pk)
    for one in working:
        one.result()
    drain()
    assert (audit(job.pk)["count_drift"], status(job)) == (0, "SUCCESS")


def work_by_fours() -> None:
    while leases := claim("p", 4).leases:
        succeed(leases[0])


def test_a_repair_is_refused_inside_a_transaction(ledger_db: str):
    job = submit("inside", keys(1), pipeline="p")
    with transaction.atomic(using=ledger_db), pytest.raises(NotDurable):
        repair(job.pk)


def test_a_job_that_is_not_there_is_not_found(ledger_db: str):
    for verb in (audit, repair):
        with pytest.raises(NotFound):
            verb(7)
