"""A worker in several processes, and one that restarts when the code changes."""

from __future__ import annotations

import os
import signal
from itertools import count

import pytest

from tests.polling import eventually
from tests.proc import alive
from tests.project.conftest import WORK, Project

later = count(2_000_000_000)  # Threads: one test runs at a time


def change(project: Project, text: str, until: str) -> None:
    """Write the code until the worker has seen it: at first it only looks what is there."""
    work = project.folder / "shop" / "work.py"

    def seen() -> bool:
        work.write_text(text)
        os.utime(work, (moment := next(later), moment))
        return until in project.output()

    eventually(seen)


def test_a_process_that_dies_is_replaced(project: Project) -> None:
    project.submit("slow-1", "b", "c")
    worker = project.start("joblot_worker", "--processes", "2")
    first = int(project.has("at-slow-1"))
    os.kill(first, signal.SIGKILL)
    project.submit("slow-2")
    second = int(project.has("at-slow-2"))
    assert second != first
    worker.send_signal(signal.SIGTERM)
    for key in ("slow-1", "slow-2"):
        (project.folder / f"open-{key}").touch()
    project.ended(worker)
    assert "serving shrink in 2 processes" in project.output()
    assert not alive(second)


def test_a_change_of_the_code_restarts_it_and_loses_no_result(project: Project) -> None:
    project.submit("slow-1")
    worker = project.start("joblot_worker")
    project.has("at-slow-1")
    change(project, WORK.replace("first", "second"), until="reloading")
    project.submit("b")
    (project.folder / "open-slow-1").touch()
    eventually(lambda: project.outputs() == ['"first"', '"second"'])
    project.submit("slow-2")
    project.has("at-slow-2")
    worker.send_signal(signal.SIGTERM)
    (project.folder / "open-slow-2").touch()
    project.ended(worker)
    assert len(project.outputs()) == 3


def test_code_that_can_not_be_imported_is_waited_for(project: Project) -> None:
    (project.folder / "shop" / "work.py").write_text("def broken(")
    worker = project.start("joblot_worker")
    eventually(lambda: "SyntaxError" in project.output())
    change(project, WORK, until="serving shrink")
    project.submit("a")
    eventually(lambda: project.outputs() == ['"first"'])
    worker.send_signal(signal.SIGTERM)
    project.ended(worker)


PRINTS = """
import os

from joblot.worker import work


@work("shrink")
def prints(key):
    print("looks at", key)
    os.system("echo a program")
    assert key != "bad"
"""
KEPT = "SELECT number, message FROM joblot_log WHERE source = 'printed' ORDER BY number"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--noreload"], [(1, "looks at bad")]),
        (["--keep-output", "all"], [(0, "looks at a"), (1, "looks at bad")]),
        (["--processes", "1"], [(1, "looks at bad\na program")]),
        (["--processes", "1", "--keep-output", "none"], []),
    ],
    ids=["in this process", "reloading", "processes", "none"],
)
def test_what_a_failed_item_prints_is_kept_with_it(
    project: Project, options: list[str], expected: list[tuple[int, str]]
) -> None:
    (project.folder / "shop" / "work.py").write_text(PRINTS)
    project.submit("a", "bad")
    worker = project.start("joblot_worker", *options)
    eventually(lambda: len(project.outputs()) == 2)
    worker.send_signal(signal.SIGTERM)
    project.ended(worker)
    assert project.ask(KEPT) == expected
    assert "looks at a\n" in project.output()
    assert "a program\n" in project.output()
