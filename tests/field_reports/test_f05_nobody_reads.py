"""F5: no item fails because its output is not read."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from joblot.worker.relay import WAITING_BYTES_MAX, Relay
from tests.cli.conftest import Joblot, joblot, make_joblot
from tests.cli.test_worker import Served, served
from tests.polling import eventually
from tests.proc import alive
from tests.worker.conftest import server, token

__all__ = ["joblot", "make_joblot", "served", "server", "token"]

PRINTS = """
import os
import subprocess
import sys
from pathlib import Path

from work import gate


def prints(key):
    if key == "gate":
        gate("gate")
    print("out", key, "\\u2713 \\ud800")
    print("err", key, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os.write(1, b"low " + key.encode() + b"\\n")
    os.write(2, b"x" * 20_000)
    subprocess.run(["echo", "started", key], check=True)
    return key


def shouts(key):
    prints(key)
    print("y" * 1_000_000)
    return key
"""
NAMES = ["n0", "n1", "gate", *[f"n{n}" for n in range(2, 29)]]


@pytest.fixture(autouse=True)
def module(joblot: Joblot) -> None:
    joblot.write("printing.py", PRINTS)
    joblot.write("names", "\n".join(NAMES))


def _ignoring_sighup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _command(function: str = "prints") -> list[str]:
    run = ["run", f"printing:{function}", "--lines", "names", "--workers", "1"]
    return [sys.executable, "-m", "joblot.cli", *run]


def _started(joblot: Joblot, function: str = "prints", **how: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        _command(function), cwd=joblot.folder, env=joblot.environment, **how
    )


def _all_succeeded(joblot: Joblot) -> None:
    state = joblot.json("show", "1")
    assert (state["status"], state["stages"][0]["succeeded"]) == ("SUCCESS", len(NAMES))


@pytest.mark.parametrize("function", ["prints", "shouts"])
def test_the_terminal_goes_away(joblot: Joblot, function: str):
    ours, theirs = pty.openpty()
    running = _started(
        joblot,
        function,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_ignoring_sighup,
    )
    os.close(theirs)
    assert os.read(ours, 1)
    joblot_at = joblot.folder / "at-gate"
    _read_until(ours, joblot_at.exists)
    os.close(ours)
    joblot.open_gate()
    assert running.wait(60) == 0
    _all_succeeded(joblot)


def _read_until(descriptor: int, true: Callable[[], bool]) -> None:
    os.set_blocking(descriptor, False)

    def looked() -> bool:
        with contextlib.suppress(BlockingIOError):
            os.read(descriptor, 65_536)
        return true()

    eventually(looked)


@pytest.mark.parametrize("stream", ["stderr", "both"])
def test_the_reader_of_a_pipe_ends(joblot: Joblot, stream: str):
    """Like `2>&1 | head -1`."""
    ours, theirs = os.pipe()
    stdout = theirs if stream == "both" else subprocess.DEVNULL
    running = _started(joblot, stdin=subprocess.DEVNULL, stdout=stdout, stderr=theirs)
    os.close(theirs)
    assert os.read(ours, 1)
    joblot.at_gate()
    os.close(ours)
    joblot.open_gate()
    assert running.wait(60) == 0
    _all_succeeded(joblot)


def test_the_reader_of_a_pipe_does_not_read(joblot: Joblot):
    """Like a pager that shows its first page, or a terminal after Ctrl-S."""
    joblot.open_gate()
    ours, theirs = os.pipe()
    running = _started(joblot, "shouts", stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert running.wait(60) == 0
    os.close(ours)
    _all_succeeded(joblot)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_files_are_closed_from_the_start(joblot: Joblot, closed: str):
    """The database must not become the file to which everything is printed."""
    joblot.open_gate()
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *_command()]
    done = subprocess.run(
        shell, cwd=joblot.folder, env=joblot.environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    _all_succeeded(joblot)
    assert joblot.json("doctor")["ok"]


def test_all_that_a_function_prints_is_shown_where_somebody_reads(joblot: Joblot):
    joblot.open_gate()
    done = joblot("run", "printing:prints", "--lines", "names", "--workers", "2")
    lines = Counter(line[-20:] for line in done.stderr.splitlines())
    for key in NAMES:
        for line in (f"err {key}", f"low {key}", f"started {key}"):
            assert lines[f"{'x' * 20_000}{line}"[-20:]] + lines[line] == 1, line
    assert done.stdout == ""


def test_the_supervisor_is_killed_while_its_worker_prints(joblot: Joblot):
    """The worker finishes and reports the items it has begun, though its output is not read."""
    running = joblot.start("run", "printing:shouts", "--lines", "names", "--workers", "1")
    worker = joblot.at_gate()
    joblot.submitted()
    running.kill()
    running.wait()
    joblot.orders_ended()
    joblot.open_gate()
    eventually(lambda: not alive(worker))
    (stage,) = joblot.json("show", "1")["stages"]
    assert (stage["succeeded"], stage["failed"], stage["in_flight"]) == (3, 0, 0)
    joblot("run", "--resume", "1", "--workers", "1")
    _all_succeeded(joblot)


def test_a_worker_over_http_whose_reader_ends(served: Served):
    job = served.submit(*NAMES)
    worker = served.work("printing:prints")
    served.joblot.at_gate()
    assert worker.stderr is not None
    worker.stderr.close()
    served.joblot.open_gate()
    assert served.ended(job) == Counter(succeeded=len(NAMES))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0


def test_a_full_disk_costs_what_is_printed_and_no_item(joblot: Joblot):
    joblot.open_gate()
    full = os.open("/dev/full", os.O_WRONLY)
    running = _started(joblot, stdin=subprocess.DEVNULL, stdout=full, stderr=full)
    os.close(full)
    assert running.wait(60) == 0
    _all_succeeded(joblot)


def test_a_reader_that_comes_back_learns_what_it_missed(tmp_path: Path):
    ours, theirs = os.pipe()
    relay = Relay(theirs)
    piece = b"z" * 65_536
    for _ in range(2 * WAITING_BYTES_MAX // len(piece)):
        assert relay.write(piece) == len(piece)
    seen = b""
    while b"bytes of output were not read)\n" not in seen:
        seen += os.read(ours, 1_048_576)
    assert WAITING_BYTES_MAX * 0.9 < len(seen) < WAITING_BYTES_MAX * 1.2
    for end in (ours, theirs):
        os.close(end)
