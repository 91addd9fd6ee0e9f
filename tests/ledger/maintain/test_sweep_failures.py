"""A step of the sweep that fails for one job delays no other job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.models import F

from joblot import faults
from joblot.config import limits
from joblot.errors import Unavailable
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, delete, end_cancel, pause, resume
from joblot.ledger.job.prune import prune
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.health import health
from joblot.ledger.read.pulse import overdue
from joblot.ledger.read.why import why
from joblot.ledger.report.hooks import on_event
from joblot.ledger.submit.submit import submit
from joblot.models import Event, ItemRange, Job, SweepFailure
from tests import databases
from tests.ledger import worker
from tests.ledger.statuses import Cut, die
from tests.ledger.worker import fail, keys, status, succeed

TRIGGERS = {
    "sqlite": """
        CREATE TRIGGER refused BEFORE {event} ON {table} WHEN {row}.job_id = {job}
        BEGIN SELECT RAISE(ABORT, 'refused by the adopter'); END
    """,
    "postgresql": """
        CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'refused by the adopter' USING ERRCODE = '23514'; END $$;
        CREATE TRIGGER refused BEFORE {event} ON {table} FOR EACH ROW
        WHEN ({row}.job_id = {job}) EXECUTE FUNCTION refused();
    """,
}
GONE = {
    "sqlite": "DROP TRIGGER refused",
    "postgresql": "DROP FUNCTION refused CASCADE",
}


@contextmanager
def refused(event: str, table: str, job: Job) -> Iterator[None]:
    """Inside the block, the database refuses this operation on the job's rows, as by a trigger."""
    connection = connections[databases.current()]
    row = "OLD" if event == "DELETE" else "NEW"
    made = TRIGGERS[connection.vendor].format(event=event, table=table, job=job.pk, row=row)
    with connection.cursor() as cursor:
        cursor.execute(made)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(GONE[connection.vendor])


@dataclass(frozen=True)
class Step:
    """`make` prepares a job for which the step is due; the step writes to the table."""

    make: Callable[[str], Job]
    is_done: Callable[[Job], bool]
    event: str
    table: str


def with_an_overdue_lease(name: str) -> Job:
    job = submit(name, keys(2), pipeline=name, policy={"lease_seconds": 1})
    assert claim(name, 2).leases
    return job


def canceling(name: str) -> Job:
    job = submit(name, keys(2), pipeline=name)
    assert claim(name, 1).leases
    cancel(job.pk, grace_seconds=1)
    return job


def all_settled(name: str) -> Job:
    """As left by a reporter that died before reconciling."""
    job = submit(name, keys(1), pipeline=name)
    with faults.armed("report: committed, not looked", die), pytest.raises(Cut):
        succeed(worker.lease(name))
    return job


def reopening(name: str) -> Job:
    """As left by a retry that died before reopening anything."""
    job = submit(name, keys(1), pipeline=name)
    fail(worker.lease(name))
    with faults.armed("retry: next run begun", die), pytest.raises(Cut):
        retry(job.pk)
    return job


def being_removed(name: str) -> Job:
    job = submit(name, keys(2), pipeline=name)
    delete(job.pk)
    return job


def with_an_event(name: str) -> Job:
    return submit(name, keys(1), pipeline=name)


def is_told(job: Job) -> bool:
    return not Event.objects.filter(job_id=job.pk, dispatched_at=None).exists()


STEPS = {
    "expire": Step(
        with_an_overdue_lease,
        lambda job: ItemRange.objects.filter(job_id=job.pk).exists(),
        "INSERT",
        "joblot_range",
    ),
    "cancel": Step(canceling, lambda job: status(job) == "REVOKED", "INSERT", "joblot_event"),
    "finish": Step(all_settled, lambda job: status(job) == "SUCCESS", "INSERT", "joblot_event"),
    "reopen": Step(reopening, lambda job: status(job) == "PENDING", "INSERT", "joblot_range"),
    "remove": Step(
        being_removed,
        lambda job: not Job.objects.filter(pk=job.pk, total__gt=0).exists(),
        "DELETE",
        "joblot_item",
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_job_whose_step_fails_keeps_no_other_from_its_turn_and_goes_on_when_it_can(
    ledger_db: str, clock: Any, configure: Callable[..., None], name: str
) -> None:
    configure(removal_seconds_per_sweep=60.0)  # on a busy machine, too, one round is enough
    step = STEPS[name]
    bad = step.make("bad")
    others = [step.make(f"good {n}") for n in range(2)]
    late = canceling("later in the round")
    clock.forward(10)
    with refused(step.event, step.table, bad):
        sweep()
        assert [step.is_done(job) for job in others] == [True, True]
        assert not step.is_done(bad)
        assert status(late) == "REVOKED"
    clock.forward(10)
    sweep()
    assert step.is_done(bad)


def health_of_sweep() -> tuple[bool, str]:
    (check,) = (one for one in health() if one["check"] == "sweep")
    return check["ok"], check["found"]


def reasons(job: Job) -> list[str]:
    return [one["text"] for one in why(job.pk)["reasons"] if one["code"] == "sweep_fails"]


def test_what_fails_is_named_with_its_cause_and_since_when_and_harms_no_health(
    ledger_db: str, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bad = canceling("bad")
    assert (health_of_sweep(), reasons(bad)) == ((True, "it fails for no job"), [])
    clock.forward(10)
    with refused("INSERT", "joblot_event", bad):
        sweep()
        clock.forward(limits().sweep_overdue_seconds + 10)
        sweep()
        (reason,) = reasons(bad)
        assert reason.startswith("ending its cancel has failed 2 times since 2030-01-01T00:00:10")
        assert "refused by the adopter" in reason
        assert reason.endswith("next try at 2030-01-01T00:00:52+00:00")
        assert health_of_sweep() == (False, f"job {bad.pk}: {reason}")
        assert overdue() == []  # the sweep itself is not overdue
    assert f"job {bad.pk}: ending its cancel failed" in caplog.text
    assert "refused by the adopter" in caplog.text
    clock.forward(2)
    sweep()
    assert status(bad) == "REVOKED"
    assert (health_of_sweep()[0], reasons(bad)) == (True, [])


def rewritten(job: Job, policy: dict[str, Any], **more: Any) -> None:
    """The job as written by another version of joblot."""
    Job.ledger.filter(pk=job.pk).update(policy=policy, version=F("version") + 1, **more)


def test_more_jobs_that_fail_than_a_batch_holds_starve_none(
    ledger_db: str, clock: Any, configure: Any
) -> None:
    configure(sweep_jobs_batch=2)
    bad = [canceling(f"bad {n}") for n in range(4)]
    good = canceling("good")
    clock.forward(10)
    for job in bad:
        rewritten(job, {**job.policy, "unheard_of": 1}, cancel_closes_at=None)
    for _ in range(3):
        sweep()
    assert status(good) == "REVOKED"
    assert SweepFailure.objects.count() == 4
    for job in bad:
        rewritten(job, job.policy)
    clock.forward(10)
    for _ in range(2):
        sweep()
    assert not SweepFailure.objects.exists()


def test_a_step_that_always_fails_is_tried_more_and_more_seldom(
    ledger_db: str, clock: Any, configure: Any
) -> None:
    configure(sweep_backoff_seconds_max=8)
    bad = canceling("bad")
    clock.forward(10)
    tries = []
    with refused("INSERT", "joblot_event", bad):
        for _ in range(40):
            sweep()
            tries.append(SweepFailure.objects.get().tries)
            clock.forward(1)
    moments = [tries.index(n) for n in range(1, max(tries) + 1)]
    assert moments == [0, 1, 3, 7, 15, 23, 31, 39]


def test_a_job_that_is_removed_meanwhile_fails_no_more(ledger_db: str, clock: Any) -> None:
    bad = canceling("bad")
    clock.forward(10)
    with refused("INSERT", "joblot_event", bad):
        sweep()
    assert SweepFailure.objects.count() == 1
    end_cancel(bad.pk)
    prune(timedelta(seconds=-1))
    clock.forward(10)
    sweep()
    assert not SweepFailure.objects.exists()


def test_a_database_that_is_away_ends_the_round_and_puts_no_job_off(
    ledger_db: str, clock: Any
) -> None:
    job, other = canceling("one"), canceling("other")
    clock.forward(10)
    away: list[str] = []

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if away or ("joblot_event" in sql and "INSERT" in sql):
            away.append(sql)
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, params, many, context)

    with connections[ledger_db].execute_wrapper(refuse), pytest.raises(Unavailable):
        sweep()
    assert len(away) <= 4  # nothing more was tried for any job
    assert not SweepFailure.objects.exists()
    sweep()
    assert (status(job), status(other)) == ("REVOKED", "REVOKED")


def test_waits_are_shortened_for_every_job_but_the_one_for_which_that_fails(
    ledger_db: str, clock: Any
) -> None:
    jobs = [submit(name, keys(1), pipeline=name) for name in ("bad", "good")]
    clock.forward(10_000)
    for job in jobs:
        fail(worker.lease(job.name), retryable=True)
    clock.forward(-10_000)
    rewritten(jobs[0], {**jobs[0].policy, "unheard_of": 1})
    sweep()
    clock.forward(100)
    assert worker.nothing("bad")
    assert claim("good").leases
    assert [one.job_id for one in SweepFailure.objects.all()] == [jobs[0].pk]
    rewritten(jobs[0], jobs[0].policy)
    sweep()
    clock.forward(100)
    assert claim("bad").leases


def test_events_behind_one_that_can_not_be_fanned_out_fill_no_batch(
    ledger_db: str, clock: Any, configure: Any
) -> None:
    configure(outbox_batch_events=3)

    @on_event("created", "started", "paused", "resumed")
    def told(event: Any) -> None: ...

    bad = with_an_event("bad")
    for _ in range(2):
        pause(bad.pk)
        resume(bad.pk)
    good = with_an_event("good")
    with refused("INSERT", "joblot_delivery", bad):
        for _ in range(3):
            sweep()
        assert is_told(good)
        assert not is_told(bad)
        (reason,) = reasons(bad)
        assert "(created of job" in reason or "(started of job" in reason
        assert "could not be written in 1 tries since 2030" in reason
        assert not health_of_sweep()[0]
    clock.forward(10)
    for _ in range(3):
        sweep()
    assert is_told(bad)
    assert health_of_sweep()[0]
