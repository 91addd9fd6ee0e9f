"""What the job as a whole waits for, or how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Max

from joblot.ledger.db.transactions import alias
from joblot.ledger.read.reasons.reason import Asked, Reason, reason
from joblot.ledger.rows.job import policy_of
from joblot.models import Event, ItemRange
from joblot.shown import at, counted, counted_and
from joblot.states import RETRYABLE, TERMINAL, JobStatus
from joblot.words import quoted


def of_job(asked: Asked) -> Iterator[Reason]:
    job, status = asked.job, JobStatus(asked.job.status)
    if status in TERMINAL:
        yield _ended(asked, status)
        return
    if asked.state["finishing"]:
        text = "every item is settled; the next sweep ends the run"
        yield reason("finishing", text)
    if status is JobStatus.CREATED and job.reopening is not None:
        text = f"run {job.run} was begun, and the items that did not succeed are being reopened"
        yield reason("reopening", text)
    elif status is JobStatus.CREATED:
        items = counted_and(job.total, "item", "waits", "wait")
        yield reason("not_started", f"the job was not started; {items} for that", act="start")
    if status is JobStatus.PAUSED:
        yield _paused(asked)
    if status is JobStatus.CANCELING:
        yield _canceling(asked)
    if not job.sealed:
        yield _open(asked)


def _ended(asked: Asked, status: JobStatus) -> Reason:
    job, last = asked.job, asked.stages[-1]
    when = f" at {at(job.finished_at, asked.now)}" if job.finished_at else ""
    text = f"run {job.run} ended as {quoted(status)}{when}: {_verdict(asked, status)}"
    act = "retry" if status in RETRYABLE else None
    link = None if last["succeeded"] == job.total else "items?state=failed"
    return reason("ended", text, since=job.finished_at, act=act, link=link)


def _verdict(asked: Asked, status: JobStatus) -> str:
    """How the counts have led to this status."""
    total, succeeded = asked.job.total, asked.stages[-1]["succeeded"]
    done = f"{succeeded:,} of {counted(total, 'item')} succeeded"
    share = f"{100 * policy_of(asked.job).failure_threshold:g} %"
    if status is JobStatus.REVOKED:
        by = _event(asked, "canceling", "halted")
        return f"{done}, and the job was canceled{_by(by)}"
    if status is JobStatus.FAILURE:
        return f"{done}, and more than {share} did not (failure_threshold)"
    if status is JobStatus.COMPLETED_WITH_ERRORS:
        return f"{done}, and no more than {share} did not (failure_threshold)"
    return done


def _paused(asked: Asked) -> Reason:
    event = _event(asked, "paused", "halted")
    when = f" at {at(event.at, asked.now)}" if event else ""
    waiting = sum(stage["ready"] for stage in asked.stages)
    items = counted_and(waiting, "item", "waits", "wait")
    text = f"the job was paused{when}{_by(event)}; {items} until it is resumed"
    if event is not None and event.kind == "halted":
        link = "items?state=failed"
        return reason("halted", text, waiting, since=event.at, act="resume", link=link)
    return reason("paused", text, waiting, since=event and event.at, act="resume")


def _canceling(asked: Asked) -> Reason:
    until: datetime | None = asked.job.cancel_closes_at
    event = _event(asked, "canceling", "halted")
    when = f" until {at(until, asked.now)}" if until else ""
    flying = sum(stage["in_flight"] for stage in asked.stages)
    text = (
        f"the job is being canceled{_by(event)}; {counted(flying, 'item')} in flight may be "
        f"reported{when}"
    )
    return reason("canceling", text, flying, since=event and event.at, until=until)


def _open(asked: Asked) -> Reason:
    """An item that was never claimed shows when it was added: its range was due at once."""
    new = ItemRange.ledger.using(alias()).filter(
        job_id=asked.job.pk, stage=0, returns=0, failures=0, not_before__lte=asked.now
    )
    added = new.aggregate(at=Max("not_before"))["at"]
    last = f", the last at {at(added, asked.now)}" if added else ""
    has = f"it has {counted(asked.job.total, 'item')}{last}"
    text = (
        f"the job still takes items ({has}): continue its submission if it was interrupted "
        "(`joblot run --resume`, or submit again with the same key), else seal it"
    )
    return reason("open", text, since=added, act="seal")


def _event(asked: Asked, *kinds: str) -> Any:
    """The last event of these kinds in this run, or None."""
    events = Event.ledger.using(alias()).filter(
        job_id=asked.job.pk, run=asked.job.run, kind__in=kinds
    )
    return events.order_by("-id").first()


def _by(event: Any) -> str:
    """` by ana (for the upgrade)`, as far as the event says so; of a halt, its reason."""
    if event is not None and event.kind == "halted":
        limit = event.data["limit"]
        return f", because more failed than it allows ({limit} {event.data['allowed']:g})"
    actor, why = getattr(event, "actor", ""), getattr(event, "reason", "")
    return (f" by {actor}" if actor else "") + (f" ({why})" if why else "")
