"""The log lines of joblot's own processes: one formatter, and what each line is about."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from typing import Any

import pytest

from joblot.log_context import job_log
from joblot.log_format import LineFormatter

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def line(message: str, *args: Any, extra: dict[str, Any] | None = None, **more: Any) -> str:
    record = logging.getLogger("x").makeRecord(
        "x", logging.WARNING, "x.py", 1, message, args, None, extra=extra, **more
    )
    text = LineFormatter("joblot worker").format(record)
    assert re.match(TIME, text), text
    return re.sub(TIME, "T", text, count=1)


def test_a_line_has_time_process_level_and_message() -> None:
    assert line("%d results wait", 3) == "T joblot worker WARNING: 3 results wait"


def test_it_names_the_job_the_item_and_the_lease() -> None:
    about = {"job": 7, "item": 12, "lease": "5e9c1a2b-7777-4444-8888-999999999999"}
    assert line("late", extra=about) == (
        "T joblot worker WARNING: late [job 7, item 12, lease 5e9c1a2b]"
    )
    assert line("late", extra={"lease": about["lease"]}).endswith("late [lease 5e9c1a2b]")


def test_it_does_not_repeat_what_the_message_says() -> None:
    assert line("job 7: late", extra={"job": 7, "item": 1}).endswith(": job 7: late [item 1]")
    assert line("job 77: late", extra={"job": 7}).endswith(": job 77: late [job 7]")


def test_it_names_what_the_block_around_it_says() -> None:
    with job_log(7, stage="save"):
        assert line("slow").endswith("slow [job 7, stage save]")
        assert line("slow", extra={"item": 2}).endswith("slow [job 7, stage save, item 2]")
        assert line("slow", extra={"job": 8}).endswith("slow [job 8]")
    assert line("slow", extra={"job": "nightly"}).endswith("slow")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("two\nlines", "two\n    lines"),
        ("\x1b[2J\r", r"\x1b[2J\r"),
    ],
)
def test_no_message_can_pass_for_a_line(message: str, shown: str) -> None:
    assert line(message, extra={"job": 7}) == f"T joblot worker WARNING: {shown} [job 7]"


def test_a_program_that_has_set_up_logging_keeps_it() -> None:
    program = """
import logging
from joblot.log_format import log_to_stderr
logging.basicConfig(format="mine: %(message)s")
log_to_stderr("joblot worker")
logging.getLogger("joblot").warning("said")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "mine: said\n"
