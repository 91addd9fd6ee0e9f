"""The plan of a run, stored in its job's config: everything that a later `--resume` needs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from joblot.cli import verbs
from joblot.errors import InvalidInput, Refused
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

    def as_order(self) -> dict[str, Any]:
        """What a worker process needs of it."""
        known = {name: value for name, value in asdict(self).items() if name != "cwd"}
        return {**known, "pipeline": self.pipeline}

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
        if is_of_map(config):
            raise Refused(
                f"job {job_id} was made by joblot.map, which takes its items from your program, so "
                f"`joblot run` can't resume it; to go on, in Python: {_map_call(job_id, config)}"
            )
        if not _is_plan(config):
            raise Refused(
                f"job {job_id} was not made by `joblot run`, so it can't be resumed; "
                f"workers of its pipelines go on with it: see joblot why {job_id}"
            )
        return cls(**config["run"])


def _is_plan(config: Any) -> bool:
    return isinstance(config, Mapping) and isinstance(config.get("run"), Mapping)


def is_of_map(config: Any) -> bool:
    """True for the config of a job that `joblot.map` has made."""
    return isinstance(config, Mapping) and isinstance(config.get("map"), Mapping)


def _map_call(job_id: int, config: Mapping[str, Any]) -> str:
    function = str(config["map"].get("function", "func")).rpartition(":")[2]
    return f"joblot.map({function}, items, job={job_id}), with the same items"


def is_of_run(job: Any) -> bool:
    """True for a job that `joblot run` has made."""
    return _is_plan(job.config)


def how_to_go_on(job: Any) -> str | None:
    """What continues a job of `joblot run` or `joblot.map`; None for other jobs and ended ones."""
    if job.status in TERMINAL or job.status == JobStatus.CANCELING:
        return None
    if is_of_map(job.config):
        return _map_call(job.pk, job.config)
    if not is_of_run(job):
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
