"""What an item prints is kept with it, in the job's log, as far as it is bounded."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from joblot.cli.dead_workers import LAST_OUTPUT
from joblot.ledger.read.log_lines import logs
from joblot.ledger.submit.submit import submit
from joblot.log_writing.printed import to_job_log
from joblot.log_writing.writer import writer
from joblot.worker import batched, each
from joblot.worker.output_tail import KEPT_BYTES_MAX
from joblot.worker.printed import Keep, Printed
from tests.cli.conftest import Joblot
from tests.proc import alive
from tests.worker.conftest import Working, ended, working
from tests.worker.printing import open_output

__all__ = ["working"]


def _kept(working: Working, keep: Keep, keys: list[str], make: Callable[..., Any], **how: Any):
    """The lines of the job's log about its items, by item; `make` gets what prints."""
    job = submit("j", keys, pipeline="p").pk
    with open_output() as output:
        printed = Printed(keep, to_job_log("host/7"), output.tail)
        with working(printed.kept(make(output.write)), **how):
            ended(job)
    assert writer().flush(30)
    lines = [line for line in logs(job, limit=1000) if line["item"] is not None]
    assert {(line["source"], line["worker"]) for line in lines} <= {("printed", "host/7")}
    return {line["item"]: line["message"] for line in lines}


def _says(put: Callable[[str], object]) -> Any:
    def says(key: str) -> str:
        put(f"looks at {key}\n")
        put(f"has seen {key}\n")
        if key.startswith("bad"):
            raise ValueError(key)
        return key

    return each(says)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [(Keep.FAILED, {1}), (Keep.ALL, {0, 1, 2}), (Keep.NONE, set())],
)
def test_what_is_printed_is_kept_with_the_items_asked_for(
    ledger_db: str, working: Working, keep: Keep, expected: set[int]
):
    keys = ["a", "bad", "c"]
    kept = _kept(working, keep, keys, _says)
    assert kept == {n: f"looks at {keys[n]}\nhas seen {keys[n]}" for n in expected}


def test_the_end_of_it_is_kept(ledger_db: str, working: Working):
    def make(put: Callable[[str], object]) -> Any:
        def says(key: str) -> str:
            for n in range(2_000):
                put(f"line {n}\n")
            put("x" * 10_000 if key == "long" else "the end")
            return key

        return each(says)

    kept = _kept(working, Keep.ALL, ["many", "long"], make)
    assert kept[0].endswith("line 1999\nthe end")
    assert len(kept[0]) <= KEPT_BYTES_MAX
    assert kept[1] == "x" * KEPT_BYTES_MAX


def test_of_a_batch_it_is_kept_with_the_first_item(ledger_db: str, working: Working):
    def make(put: Callable[[str], object]) -> Any:
        def says(keys: list[str]) -> list[str]:
            put("all of them")
            return keys

        return batched(says)

    assert _kept(working, Keep.ALL, ["a", "b"], make, batch_items=2) == {0: "all of them"}


def test_a_function_that_breaks_its_streams_fails_no_item(
    ledger_db: str, working: Working, monkeypatch: pytest.MonkeyPatch
):
    def make(put: Callable[[str], object]) -> Any:
        def breaks(key: str) -> str:
            monkeypatch.setattr(sys, "stdout", None)
            put(key)
            return key

        return each(breaks)

    assert _kept(working, Keep.ALL, ["a", "b"], make) == {0: "a", 1: "b"}


def test_a_run_keeps_both_streams_of_a_failed_item_and_shows_them(joblot: Joblot):
    joblot.write(
        "says.py",
        "import sys\n\n\ndef says(key):\n    print('out', key)\n    print('err', file=sys.stderr)\n"
        "    sys.stdout.write('no newline')\n    assert key != 'b'\n    return key\n",
    )
    run = ["run", "says:says", "--workers", "1", "--policy", "failure_threshold=1"]
    joblot(*run, ":::", "a", "b", "c", expect=1)
    (line,) = joblot.json("logs", "1", "--item", "1")
    assert line["message"] == "out b\nerr\nno newline"
    assert joblot.json("logs", "1", "--item", "0") == []
    joblot(*run, "--keep-output", "all", ":::", "a", "c")
    (line,) = joblot.json("logs", "2", "--item", "1")
    assert line["message"] == "out c\nerr\nno newline"


def test_what_c_code_writes_as_it_ends_its_process_is_kept_with_the_item(joblot: Joblot):
    joblot.write(
        "dies.py",
        "import ctypes, os\n\n\ndef dies(key):\n    os.write(2, b'free(): invalid pointer\\n')\n"
        "    ctypes.string_at(0)\n",
    )
    run = ["run", "dies:dies", "--workers", "1", "--policy", "expiries_max=1"]
    joblot(*run, ":::", "a", expect=1)
    lines = [one["message"] for one in joblot.json("logs", "1", "--item", "0")]
    (line,) = {one for one in lines if one.startswith("the last output of the process")}
    assert line.endswith("(signal 11):\nfree(): invalid pointer")
    joblot(*run, "--keep-output", "none", ":::", "a", expect=1)
    lines = [one["message"] for one in joblot.json("logs", "2", "--item", "0")]
    assert not any(one.startswith("the last output") for one in lines)


EVERY_WAY = """
import ctypes
import os
import subprocess
import sys

c = ctypes.CDLL(None)


def says(key):
    print("python", key)
    os.write(1, b"descriptor\\n")
    c.puts(b"C")
    c.fflush(None)
    subprocess.run(["echo", "program"], check=True)
    os.system("echo shell >&2")
    print("python again", file=sys.stderr)
    sys.stdout.write("no newline, ")
    sys.stdout.flush()
    c.puts(b"not flushed")
    assert key != "bad"
    return sys.stdout.isatty() or os.isatty(1)
"""


def test_what_c_code_and_programs_write_is_kept_in_order(joblot: Joblot):
    joblot.write("every.py", EVERY_WAY)
    joblot("run", "every:says", "--workers", "1", "--keep-output", "all", ":::", "a", "b")
    said = ["descriptor", "C", "program", "shell", "python again", "no newline, not flushed"]
    for number, key in enumerate("ab"):
        (line,) = joblot.json("logs", "1", "--item", str(number))
        assert line["message"].splitlines() == [f"python {key}", *said]
    assert joblot("results", "1", "--json").stdout.count('"output": false') == 2  # no terminal


OUTLIVES = """
import subprocess
import time
from pathlib import Path


def outlives(key):
    if key == "a":
        said = "echo begun; touch begun; exec sleep 600"
        Path("child").write_text(str(subprocess.Popen(["sh", "-c", said]).pid))
        while not Path("begun").exists():
            time.sleep(0.01)
    print(key)
"""


def test_a_program_that_outlives_its_item_and_its_worker_delays_neither(joblot: Joblot):
    """It keeps the worker's output open, so the pipe does not end."""
    joblot.write("outlives.py", OUTLIVES)
    run = ["run", "outlives:outlives", "--workers", "1", "--recycle-items", "1"]
    joblot(*run, "--keep-output", "all", ":::", "a", "b")
    child = int((joblot.folder / "child").read_text())
    assert alive(child)
    os.kill(child, signal.SIGKILL)
    messages = [joblot.json("logs", "1", "--item", n)[0]["message"] for n in "01"]
    assert messages == ["begun\na", "b"]


def test_what_an_item_has_written_when_its_process_is_killed_is_kept_with_it(joblot: Joblot):
    joblot.write(
        "killed.py",
        "import os\n\n\ndef killed(key):\n    print('looks at', key)\n"
        "    os.write(1, b'as bytes\\n')\n    if key == 'b':\n        os.kill(os.getpid(), 9)\n",
    )
    run = ["run", "killed:killed", "--workers", "1", "--policy", "expiries_max=1"]
    joblot(*run, ":::", "a", "b", "c", expect=1)
    lines = [one["message"] for one in joblot.json("logs", "1", "--item", "1")]
    (line,) = {one for one in lines if one.startswith(LAST_OUTPUT)}
    assert line == f"{LAST_OUTPUT} (signal 9):\nlooks at b\nas bytes"


def test_the_end_of_50_megabytes_of_one_item_is_kept(joblot: Joblot):
    joblot.write(
        "floods.py",
        "import os\n\nPIECE = (b'x' * 99 + b'\\n') * 500\n\n\ndef floods(key):\n"
        "    for _ in range(1_000):\n        piece = memoryview(PIECE)\n"
        "        while piece:\n            piece = piece[os.write(1, piece) :]\n"
        "    os.write(2, b'the end')\n    assert key != 'a'\n",
    )
    run = ["run", "floods:floods", "--workers", "1", "--policy", "failure_threshold=1"]
    joblot(*run, ":::", "a", "b", expect=1)
    (line,) = joblot.json("logs", "1", "--item", "0")
    assert line["message"] == ("x" * 99 + "\n")[7:] + ("x" * 99 + "\n") * 39 + "the end"
    assert len(line["message"]) == KEPT_BYTES_MAX
