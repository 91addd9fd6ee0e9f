"""The plan of a run, stored in its job's config: everything that a later `--resume` needs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from joblot.cli import alive, verbs
from joblot.cli.source import Source
from joblot.errors import InvalidInput, Refused, WrongStatus
from joblot.operator_name import operator
from joblot.places import absolute
from joblot.states import TERMINAL, JobStatus

EXPIRIES_MAX = 3  # a run's default: an item that alone has killed this many workers is lost


@dataclass(frozen=True, slots=True)
class Plan:
    """The function or command, and how it is called. `batch` 0: the function takes one item."""

    function: str
    batch: int
    cwd: str
    item_seconds_max: float
    retry_on: Sequence[str] = ()
    no_retry_on: Sequence[str] = ()
    command: str = ""
    recycle_items: int = 0
    recycle_mb: int = 0
    keep_output: str = "failed"

    @property
    def work(self) -> str:
        """What is called for each item, for people."""
        return self.function or self.command

    @property
    def stage(self) -> str:
        if not self.command:
            return self.function.rpartition(":")[2][:200]
        return Path(shlex.split(self.command)[0]).name[:200]

    @property
    def pipeline(self) -> str:
        return f"run {self.work}"[:200]

    def within(self, folder: Path | None) -> Plan:
        """The plan in another folder, if one is given. Raises InvalidInput if there is none."""
        plan = self if folder is None else replace(self, cwd=str(absolute(folder)))
        if not Path(plan.cwd).is_dir():
            raise InvalidInput(
                f"there is no folder {plan.cwd}, in which the function is called; name the folder "
                "of its code with --chdir"
            )
        return plan

    def as_config(self) -> dict[str, Any]:
        return {
            "run": {
                "function": self.function,
                "batch": self.batch,
                "cwd": self.cwd,
                "item_seconds_max": self.item_seconds_max,
                "retry_on": list(self.retry_on),
                "no_retry_on": list(self.no_retry_on),
                "command": self.command,
                "recycle_items": self.recycle_items,
                "recycle_mb": self.recycle_mb,
                "keep_output": self.keep_output,
            }
        }

    @classmethod
    def of(cls, job_id: int, config: Any) -> Plan:
        """The plan of a job. Raises Refused if the job was not made by `joblot run`."""
        if not _is_plan(config):
            raise Refused(f"job {job_id} was not made by `joblot run`, so it can't be resumed")
        return cls(**config["run"])


def _is_plan(config: Any) -> bool:
    return isinstance(config, Mapping) and isinstance(config.get("run"), Mapping)


def is_of_run(job: Any) -> bool:
    """True for a job that `joblot run` has made."""
    return _is_plan(job.config)


def how_to_go_on(job: Any) -> str | None:
    """The command that continues a job of `joblot run`; None for other jobs and ended ones."""
    if not is_of_run(job) or job.status in TERMINAL or job.status == JobStatus.CANCELING:
        return None
    command = f"joblot run --resume {job.pk}"
    if job.sealed:
        return command
    return f"{command} ITEMS… (give the same items again: those it has are skipped)"


def begin(plan: Plan, *, name: str | None, policy: Mapping[str, Any]) -> int:
    """Create the job, open and empty; returns its id."""
    job = verbs.submit(
        (name or plan.work)[:200],
        stages=[{"name": plan.stage, "pipeline": plan.pipeline}],
        config=plan.as_config(),
        policy={"expiries_max": EXPIRIES_MAX, **policy},
        seal=False,
        actor=operator(),
    )
    return int(job.pk)


def require_resumable(job_id: int, source: Source, *, retry: bool = False) -> Plan:
    """The plan of a job that can be continued; with `retry`, one that was canceled can be.

    Raises NotFound, Refused, WrongStatus.
    """
    job = verbs.read_job(job_id)
    plan = Plan.of(job_id, job.config)
    if job.status == JobStatus.CANCELING or (job.status == JobStatus.REVOKED and not retry):
        raise WrongStatus(
            f"job {job_id} was canceled; `joblot retry {job_id}` begins its next run, which can "
            "then be resumed"
        )
    if job.sealed and source.given:
        raise Refused(
            f"job {job_id} has all its items ({job.total:,}) and takes no more; leave them out: "
            f"joblot run --resume {job_id}"
        )
    if not job.sealed and not source.given:
        raise Refused(
            f"job {job_id} was not submitted to its end ({job.total:,} items so far); give it the "
            f"same items again: joblot run --resume {job_id} ITEMS… (those it has are skipped)"
        )
    return plan


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
