"""A job's progress as live bars, one per stage; plain lines where there is no terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from joblot.cli.printable import printable

PLAIN_SECONDS = 10.0  # between two lines where there is no terminal
GAVE_UP = ("failed", "lost", "skipped")


class ProgressDisplay:
    """A context manager; `update` takes a job as returned by the ledger's `progress`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            speed_estimate_period=20,
        )
        self._tasks: dict[str, TaskID] = {}
        self._printed_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def update(self, job: dict[str, Any]) -> None:
        if not self._console.is_terminal:
            self._print(job)
            return
        for stage in job["stages"]:
            task = self._tasks.get(stage["name"])
            if task is None:
                task = self._bars.add_task(printable(stage["name"]), total=None, note="")
                self._tasks[stage["name"]] = task
            total = stage["total"] if job["sealed"] else None
            self._bars.update(task, completed=settled(stage), total=total, note=note(job, stage))

    def _print(self, job: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self._printed_at < PLAIN_SECONDS:
            return
        self._printed_at = now
        for stage in job["stages"]:
            self._console.print(
                f"{stage['name']}: {settled(stage):,} of {stage['total']:,} {note(job, stage)}",
                markup=False,
                highlight=False,
            )


class _Rate(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="progress.data.speed")


def settled(stage: dict[str, Any]) -> int:
    return int(stage["succeeded"] + sum(stage[name] for name in GAVE_UP))


def note(job: dict[str, Any], stage: dict[str, Any]) -> str:
    """Anything unusual: failures, and a job that is paused or canceling."""
    parts = [f"{stage[name]:,} {name}" for name in GAVE_UP if stage[name]]
    if job["status"] in ("PAUSED", "CANCELING"):
        parts.append(job["status"].lower())
    return ", ".join(parts)
