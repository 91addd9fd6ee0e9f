"""What a run prints while it goes on and at its end, on a terminal and elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest

from joblot.cli import closing
from joblot.cli.display import PlainLines, plain_lines, progress_display
from joblot.cli.plan import Plan
from joblot.cli.records.records import Records
from joblot.cli.run import Run
from joblot.cli.source import Source
from tests.cli.conftest import Joblot
from tests.cli.test_bars import JOB, STAGE
from tests.cli.test_terminal import COLUMNS, CONTROL, on_a_terminal

SOURCE = Source(lines="names")
SAYS = """
import sys


def says(key):
    print("half of ", end="")
    print(f"a line {key}")
    print("on stderr", file=sys.stderr)
    return key
"""


def _run(**more: Any) -> Run:
    run = Run(Plan("m:f", 0, "/", 60.0), 8, more.pop("db", None), Records(**more))
    run.seconds, run.settled_before = 20.0, 100
    return run


def test_the_pace_is_that_of_this_run():
    state = {"stages": [STAGE]}  # 634 of its items are settled
    assert closing.pace(_run(), state) == "534 items in 20.0 s, 26.7 items/s, on 8 workers"
    untouched = _run()
    untouched.seconds = 0.0
    assert closing.pace(untouched, state) == ""


def test_the_command_that_goes_on_names_the_same_files():
    run = _run(out="my out.jsonl", joblog="log.csv", db="/data/j.sqlite3")
    assert closing.files(run) == "outputs: my out.jsonl, joblog: log.csv"
    options = "--out 'my out.jsonl' --joblog log.csv --db /data/j.sqlite3"
    state = {"id": 7, "sealed": True}
    assert closing.how_to_continue(run, state, SOURCE) == f"joblot run --resume 7 {options}"
    again = closing.how_to_continue(run, state | {"sealed": False}, SOURCE)
    assert again.startswith(f"joblot run --resume 7 {options} --lines names (not all items")
    repeat = closing.how_to_repeat(run, 7)
    assert repeat.startswith(f"joblot run --resume 7 --retry-failed {options} ")
    assert "joblot retry 7" in repeat


def test_standard_output_is_no_file_to_name():
    run = _run(out="-")
    assert closing.files(run) == ""
    assert closing.how_to_repeat(run, 7).startswith("joblot run --resume 7 --retry-failed (")


def test_a_log_file_gets_a_line_now_and_then_with_the_pace():
    (line,) = plain_lines(JOB, 12.345)
    assert line == (
        "shrink: 634 of 1,000, 3 failed, 1 lost, 30 skipped, 12.3 items/s, done in about 2 h 10 min"
    )
    (early,) = plain_lines(JOB | {"eta": None}, None)
    assert early == "shrink: 634 of 1,000, 3 failed, 1 lost, 30 skipped"


def test_lines_come_not_more_often_than_that(capsys: pytest.CaptureFixture[str]):
    with PlainLines(seconds=0.0) as often, progress_display(quiet=True) as never:
        often.update(JOB)
        never.update(JOB)
    assert capsys.readouterr().err.count("shrink: ") == 1
    with progress_display() as seldom:
        seldom.update(JOB)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("color", [{}, {"NO_COLOR": "1"}])
def test_a_narrow_terminal_stays_readable_when_the_function_prints(
    joblot: Joblot, color: dict[str, str]
):
    joblot.write("says.py", SAYS)
    folder, db = str(joblot.folder), str(joblot.folder / "own.sqlite3")
    words = [f"w{n}" for n in range(8)]
    run = ["run", "says:says", "--workers", "1", "--chdir", folder, ":::", *words]
    said = on_a_terminal(db, *run, **color)
    assert ("\x1b[38;" in said) == (not color)
    plain = CONTROL.sub("", said).replace("\r", "\n")
    lines = [line.rstrip() for line in plain.splitlines()]
    for word in words:
        assert lines.count(f"half of a line {word}") == 1  # whole, however often bars are drawn
    assert lines.count("on stderr") == 8
    bars = [line for line in lines if re.search("[█░▒]", line)]
    assert max(map(len, bars)) <= COLUMNS
    assert "8 items in " in plain


def test_a_resumed_job_that_has_failed_says_how_to_repeat(joblot: Joblot):
    joblot.write("names", "bad\ngood\n")
    policy = ["--policy", "failure_threshold=1"]
    joblot("run", "work:picky", "--lines", "names", "--workers", "1", *policy, expect=1)
    again = joblot("run", "--resume", "1", expect=1)
    assert "repeat what failed: joblot run --resume 1 --retry-failed" in again.stderr
    assert "joblot retry 1" in again.stderr
    assert joblot.lines("calls").count("bad") == 1
    path = joblot.folder / "work.py"
    path.write_text(path.read_text().replace('startswith("bad")', 'startswith("worse")'))
    mended = joblot("run", "--resume", "1", "--retry-failed", "--workers", "1")
    assert "Succeeded, picky 2 of 2" in mended.stderr
    assert joblot.lines("calls").count("good") == 1
    done = joblot("run", "--resume", "1", "--retry-failed")  # nothing is left to repeat
    assert "Succeeded" in done.stderr
