"""Continuing a job of `joblot run`: what it takes, and what earlier runs have left behind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from joblot.cli import alive, verbs
from joblot.cli.plan import Plan
from joblot.cli.source import Source
from joblot.errors import InvalidInput, Refused, WrongStatus
from joblot.shown import shown
from joblot.states import JobStatus

# What is computed, and how it is judged: the same for all items of a job.
KEPT = {
    "command": "--exec",
    "batch": "--batch",
    "retry_on": "--retry-on",
    "no_retry_on": "--no-retry-on",
}
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
# How the worker processes of one invocation are run: a later invocation may choose differently.
CHOSEN = ("item_seconds_max", "recycle_items", "recycle_mb", "keep_output")


def resumed_plan(
    job_id: int, source: Source, given: Mapping[str, Any], *, retry: bool = False
) -> Plan:
    """The plan of a job that can be continued; with `retry`, one that was canceled can be.

    `given` are options of this invocation, by the names of KEPT and CHOSEN, and `name`. Raises
    InvalidInput for one that the job has with another value; NotFound, Refused, WrongStatus.
    """
    job = verbs.read_job(job_id)
    plan = Plan.of(job_id, job.config)
    _check_status(job, retry=retry)
    _check_kept(job_id, plan, given)
    if given.get("name", job.name) != job.name:
        name = given["name"]
        raise InvalidInput(
            f"--name: job {job_id} is called {shown(job.name)}; leave it out, or rename the job: "
            f"joblot edit {job_id} --name {shown(name)}"
        )
    _check_items(job, source)
    return replace(plan, **{name: given[name] for name in CHOSEN if name in given})


def without_function(job_id: int, arguments: Sequence[str]) -> list[str]:
    """The arguments, which may repeat those of the first run, without the job's own function.

    Raises InvalidInput for another function.
    """
    plan = Plan.of(job_id, verbs.read_job(job_id).config)
    first, rest = arguments[:1], list(arguments[1:])
    if first and first[0] == plan.function:
        return rest
    if first and _FUNCTION.fullmatch(first[0]) and not Path(first[0]).exists():
        raise InvalidInput(f"{first[0]}: job {job_id} calls {plan.work}; leave this out")
    return [*first, *rest]


def _check_status(job: Any, *, retry: bool) -> None:
    if job.status == JobStatus.CANCELING or (job.status == JobStatus.REVOKED and not retry):
        raise WrongStatus(
            f"job {job.pk} was canceled; `joblot retry {job.pk}` begins its next run, which can "
            "then be resumed"
        )


def _check_kept(job_id: int, plan: Plan, given: Mapping[str, Any]) -> None:
    differing = []
    for name, option in KEPT.items():
        if name in given and _as_text(given[name]) != _as_text(getattr(plan, name)):
            has = _as_text(getattr(plan, name)) or "none"
            differing.append(f"{option} {_as_text(given[name])} (it has {has})")
    if differing:
        raise InvalidInput(
            f"{', '.join(differing)}: job {job_id} keeps what it was begun with, so that all of "
            "its items are treated alike; leave this out"
        )


def _as_text(value: Any) -> str:
    if isinstance(value, str | int):
        return str(value)
    return ", ".join(sorted(value or ()))


def _check_items(job: Any, source: Source) -> None:
    if job.sealed and source.given:
        raise Refused(
            f"job {job.pk} has all its items ({job.total:,}) and takes no more; leave them out: "
            f"joblot run --resume {job.pk}"
        )
    if not job.sealed and not source.given:
        raise Refused(
            f"job {job.pk} was not submitted to its end ({job.total:,} items so far); give it the "
            f"same items again: joblot run --resume {job.pk} ITEMS… (those it has are skipped)"
        )


def reawaken(job_id: int) -> list[dict[str, Any]]:
    """Start or resume the job, and release the leases of dead workers of earlier runs.

    Returns the leases of workers that may be alive.
    """
    job = verbs.read_job(job_id)
    if job.status == JobStatus.PAUSED:
        verbs.resume(job_id)
    elif job.status == JobStatus.CREATED:
        verbs.start(job_id)
    leases = verbs.in_flight(job=job_id)
    dead = {worker for worker in {lease["worker"] for lease in leases} if alive.is_dead(worker)}
    for lease in leases:
        if lease["worker"] in dead:
            verbs.release(lease["token"])
    for worker in dead:
        alive.forget(worker)
    return [lease for lease in leases if lease["worker"] not in dead]
