"""The tools that are measured, and how each is called and called again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = str(HERE / ".venv" / "bin" / "python")  # with joblib and Dask
JOBLOT = str(Path(sys.executable).parent / "joblot")

Command = Callable[[str, int, int], list[str]]  # of a function, a number of items and of workers


@dataclass(frozen=True, slots=True)
class Tool:
    """`again` is what continues after a failure; the same command where that is all there is.

    `trivial_max`, `waiting_max`: fewer where each item takes a process, or much of a scheduler.
    """

    name: str
    title: str
    command: Command
    again: Command
    trivial_max: int = 100_000
    waiting_max: int = 5_000
    process_per_item: bool = False


def _script(name: str, python: str) -> Command:
    path = str(HERE / "each" / f"{name}.py")
    return lambda *given: [python, path, *map(str, given)]


def _parallel(*more: str) -> Command:
    """Each item is a shell; the items are lines of `items`."""
    commands = {"trivial": "", "waiting": "sleep 0.02; "}

    def command(function: str, items: int, workers: int) -> list[str]:
        shell = f"{commands[function]}echo {{}} $$ >> calls; echo {{}} >> out"
        options = ["--joblog", "joblog", "-j", str(workers), *more, "-a", "items"]
        return ["parallel", *options, shell]

    return command


def _run(function: str, items: int, workers: int) -> list[str]:
    given = ["--jsonl", "items", "--workers", str(workers), "--out", "out"]
    return [JOBLOT, "run", f"work:{function}", *given, "--db", "jobs.sqlite3"]


def _resume(function: str, items: int, workers: int) -> list[str]:
    """Without the items: at half, all of them are submitted."""
    options = ["--workers", str(workers), "--out", "out", "--db", "jobs.sqlite3"]
    return [JOBLOT, "run", "--resume", "1", *options]


TOOLS = (
    Tool("joblot-run", "`joblot run`", _run, _resume),
    Tool("joblot-map", "`joblot.map`", *2 * (_script("joblot_map", sys.executable),)),
    Tool("pool", "`multiprocessing.Pool`", *2 * (_script("pool", PYTHON),)),
    Tool("joblib", "joblib", *2 * (_script("joblib_loky", PYTHON),)),
    Tool("dask", "Dask", *2 * (_script("dask_local", PYTHON),), trivial_max=5_000),
    Tool(
        "parallel",
        "GNU parallel `--joblog`",
        _parallel(),
        _parallel("--resume-failed"),
        trivial_max=1_000,
        waiting_max=1_000,
        process_per_item=True,
    ),
)
