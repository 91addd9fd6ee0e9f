"""The display while the job runs: bars on a terminal, occasional plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from joblot.sentences import settled_of

LINE_SECONDS = 1.0


class Display(Protocol):
    def show(self, job: dict[str, Any]) -> None:
        """Show the job as returned by `progress`."""

    def say(self, text: str) -> None:
        """Print a line; callable from any thread."""


@contextmanager
def display(console: Console) -> Iterator[Display]:
    if not console.is_terminal:
        yield Lines(console)
        return
    with _bars(console) as progress:
        yield Bars(progress)


class Rate(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Any:
        self.text_format = f"{task.finished_speed or task.speed or 0:5,.0f}/s"
        return super().render(task)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        Rate(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TimeElapsedColumn(),
        console=console,
    )


class Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, job: dict[str, Any]) -> None:
        for stage in job["stages"]:
            name = stage["name"]
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name)
            self._progress.update(
                self._tasks[name], completed=settled_of(stage), total=stage["total"]
            )

    def say(self, text: str) -> None:
        self._progress.console.print(f"[dim]{text}[/dim]", highlight=False)


class Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = self._shown = time.monotonic()

    def show(self, job: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self._shown < LINE_SECONDS:
            return
        self._shown = now
        elapsed = now - self._began
        stages = [
            f"{stage['name']} {settled_of(stage):,} of {stage['total']:,} "
            f"({settled_of(stage) / elapsed:,.0f}/s)"
            for stage in job["stages"]
        ]
        eta = f" · ETA {job['eta']['p50']:.0f} s" if job["eta"] else ""
        self.say(f"{elapsed:4.1f} s  {' · '.join(stages)}{eta}")

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)
