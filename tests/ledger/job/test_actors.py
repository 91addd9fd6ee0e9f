"""Who asked for a change of a job, and why: every event says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot.errors import InvalidInput
from joblot.ledger.job import lifecycle
from joblot.ledger.job.edit import edit
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.history import events
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Event, Job
from joblot.states import JobStatus
from tests.ledger import worker
from tests.ledger.statuses import job_in
from tests.ledger.worker import fail, keys

ANA: dict[str, Any] = {"actor": "ana", "reason": "the disk is full"}

# The verb, a status in which it changes a job that is not sealed, and the event of the change.
VERBS: list[tuple[Callable[..., Any], JobStatus, str]] = [
    (lifecycle.start, JobStatus.CREATED, "started"),
    (lifecycle.pause, JobStatus.STARTED, "paused"),
    (lifecycle.resume, JobStatus.PAUSED, "resumed"),
    (lifecycle.cancel, JobStatus.STARTED, "canceling"),
    (retry, JobStatus.FAILURE, "retried"),
    (lifecycle.delete, JobStatus.FAILURE, "deleted"),
    (lambda job_id, **by: edit(job_id, priority=7, **by), JobStatus.STARTED, "edited"),
]


def last(job_id: int, kind: str) -> tuple[str, str]:
    """The actor and the reason of the job's last event of this kind."""
    event = Event.objects.filter(job_id=job_id, kind=kind).order_by("-pk")[0]
    return event.actor, event.reason


def authors(job: Job) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["actor"], one["reason"]) for one in events(job.pk)]


@pytest.mark.parametrize(("verb", "status", "kind"), VERBS, ids=[kind for *_, kind in VERBS])
def test_the_event_of_each_verb_says_who_and_why(
    ledger_db: str, verb: Callable[..., Any], status: JobStatus, kind: str
) -> None:
    job = job_in(status)
    verb(job.pk, **ANA)
    assert last(job.pk, kind) == ("ana", "the disk is full")


def test_a_seal_is_an_event_and_sealing_with_the_submission_is_not(ledger_db: str) -> None:
    job = submit("open", keys(2), pipeline="p", seal=False, actor="token:ci")
    seal(job.pk, **ANA)
    seal(job.pk, actor="bert")
    whole = submit("whole", keys(2), pipeline="p")
    filled = submit("filled", pipeline="p", seal=False)
    add_items(filled.pk, keys(1), seal=True)
    assert authors(job) == [("started", "token:ci", ""), ("sealed", "ana", "the disk is full")]
    assert authors(whole) == [("started", "", "")]
    assert authors(filled) == [("started", "", ""), ("sealed", "", "")]


def test_a_verb_that_changes_nothing_leaves_the_author_of_the_change(ledger_db: str) -> None:
    job = submit("twice", keys(2), pipeline="p")
    lifecycle.pause(job.pk, **ANA)
    lifecycle.pause(job.pk, actor="bert")
    assert authors(job) == [("started", "", ""), ("paused", "ana", "the disk is full")]


def test_what_the_sweep_ends_of_a_cancel_names_who_canceled(ledger_db: str, clock: Any) -> None:
    job = submit("canceled", keys(2), pipeline="p")
    worker.lease(limit=1)
    cancel(job.pk, grace_seconds=10, **ANA)
    clock.forward(10)
    sweep()
    assert authors(job)[-1] == ("finished", "ana", "the disk is full")


def test_what_the_sweep_continues_of_a_retry_names_who_retried(
    ledger_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit("failed", keys(1), pipeline="p")
    fail(worker.lease())
    with monkeypatch.context() as dying:
        dying.setattr("joblot.ledger.job.retry.go_on_reopening", lambda job_id: None)
        retry(job.pk, **ANA)
    assert authors(job)[-1] == ("retried", "ana", "the disk is full")
    sweep()
    assert authors(job)[-1] == ("started", "ana", "the disk is full")


def test_a_run_that_ends_by_its_last_result_was_ended_by_nobody(ledger_db: str) -> None:
    job = submit("done", keys(1), pipeline="p")
    worker.drain()
    assert authors(job)[-1] == ("finished", "", "")


def test_a_deleted_job_that_was_running_was_canceled_by_the_same_person(ledger_db: str) -> None:
    job = submit("gone", keys(1), pipeline="p")
    delete(job.pk, **ANA)
    for kind in ("canceling", "finished", "deleted"):
        assert last(job.pk, kind) == ("ana", "the disk is full")


def test_both_are_one_clean_line_a_long_name_is_cut_a_long_reason_refused(
    ledger_db: str, configure: Callable[..., None]
) -> None:
    configure(actor_chars_max=10, reason_chars_max=20)
    job = submit("texts", keys(1), pipeline="p")
    with pytest.raises(InvalidInput, match="reason: expected at most 20 characters, got 21"):
        lifecycle.pause(job.pk, reason="x" * 21)
    with pytest.raises(InvalidInput, match="actor: expected text, got 7"):
        lifecycle.pause(job.pk, actor=7)  # type: ignore[arg-type]
    assert worker.kinds(job) == ["started"]
    lifecycle.pause(job.pk, actor="a" * 11, reason=" two\n lines \x1b[1m\ud800")
    assert last(job.pk, "paused") == ("a" * 10, "two lines \\x1b[1m?")
