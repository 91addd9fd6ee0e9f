"""F4: C code that never releases the interpreter is killed from outside."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from joblot.ledger.lease import expire_overdue
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.states import TERMINAL
from joblot.worker.pulse import GAP_SECONDS_MAX, Pulse, PulseReader
from tests.cli.conftest import Joblot, joblot, make_joblot
from tests.cli.test_worker import Served, _child, _line, served
from tests.polling import eventually
from tests.proc import alive
from tests.worker.conftest import server, token

__all__ = ["joblot", "make_joblot", "served", "server", "token"]

# `hold` waits in C code with the interpreter's lock: no other thread and no Python signal handler
# of the process runs, and no CPU is used. `computes` holds it in an endless regular expression
# instead.
HOLDS = """
import ctypes
import os
import re
import subprocess
import threading
from pathlib import Path

C = ctypes.PyDLL(None)  # unlike CDLL, does not release the interpreter's lock during a call


def hold():
    mutex = ctypes.create_string_buffer(128)  # zeros: unlocked
    C.pthread_mutex_lock(mutex)
    C.pthread_mutex_lock(mutex)


def at(name):
    Path(f"at-{name}").write_text(str(os.getpid()))


def computes(key):
    if key == "holds":
        at("holds")
        re.match(r"(a+)+$", "a" * 60 + "b")
    return key


def holds(key):
    if key == "holds":
        at("holds")
        hold()
    return key


def holds_all(keys):
    return [holds(key) for key in keys]


def waits(key):
    if key == "waits":
        started = subprocess.Popen(["sleep", "600"])
        Path("at-sleep").write_text(str(started.pid))
        hold()
    return key


def leaves_a_thread(key):
    threading.Thread(target=threading.Event().wait).start()
    return key
"""
FROZEN = ["--item-seconds-max", "2"]  # even an empty call may take a while
ALONE = ["--policy", "expiries_max=1"]


@pytest.fixture(autouse=True)
def module(joblot: Joblot) -> None:
    joblot.write("holding.py", HOLDS)


def _names(joblot: Joblot, bad: str = "holds") -> str:
    return joblot.write("names", "".join(f"{n}\n" for n in ["n0", "n1", bad, *range(2, 11)]))


def _at(joblot: Joblot, name: str = "holds") -> int:
    path = joblot.folder / f"at-{name}"
    return int(eventually(lambda: path.read_text() if path.exists() else ""))


@pytest.mark.parametrize("function", [["holding:computes"], ["holding:holds_all", "--batch", "3"]])
def test_a_run_loses_the_item_that_holds_the_interpreter_and_no_other(
    joblot: Joblot, function: list[str]
):
    options = ["--lines", _names(joblot), "--workers", "2", *FROZEN, *ALONE]
    name, *batch = function
    done = joblot("run", name, *batch, *options, expect=1)
    assert "1 item (100 %): LeaseExpired: " in done.stderr
    assert "frozen: no progress for too long" in done.stderr
    assert "Timeout (" not in done.stderr  # the process's own last resort, which comes later
    (stage,) = joblot.json("show", "1")["stages"]
    assert (stage["succeeded"], stage["lost"], stage["failed"]) == (11, 1, 0)
    assert joblot.json("audit", "1")["ok"]


def test_so_does_a_run_whose_leases_expire_before_the_limit(joblot: Joblot):
    """Then the dead worker holds no lease any more, but still does not count as fruitless."""
    options = ["--lines", _names(joblot), "--workers", "1", "--item-seconds-max", "2"]
    options += ["--policy", "lease_seconds=1", "--policy", "expiries_max=4"]
    joblot("run", "holding:holds", *options, expect=1)
    (stage,) = joblot.json("show", "1")["stages"]
    assert (stage["succeeded"], stage["lost"], stage["failed"]) == (11, 1, 0)


def test_what_a_frozen_call_has_started_ends_with_it(joblot: Joblot):
    options = ["--lines", _names(joblot, "waits"), "--workers", "1", *FROZEN, *ALONE]
    joblot("run", "holding:waits", *options, expect=1)
    assert not alive(_at(joblot, "sleep"))


@pytest.fixture
def unignored() -> Iterator[None]:
    """SIGHUP as it is without `nohup`, under which a run ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_run_whose_call_holds_the_interpreter(
    joblot: Joblot, number: int, unignored: None
):
    """At the call's limit; its items are given back."""
    options = ["--lines", _names(joblot), "--workers", "1", "--item-seconds-max", "2"]
    options += ["--policy", "expiries_max=100"]  # however late the signal comes, the job goes on
    running = joblot.start("run", "holding:holds", *options)
    worker = _at(joblot)
    joblot.submitted()
    running.send_signal(number)
    _, output = running.communicate(timeout=60)
    assert running.returncode == 128 + number
    assert "continue with: joblot run --resume 1" in output
    assert not alive(worker)
    assert joblot.in_flight() == 0


def test_a_second_signal_ends_it_at_once(joblot: Joblot):
    running = joblot.start("run", "holding:holds", "--lines", _names(joblot), "--workers", "1")
    worker = _at(joblot)
    joblot.submitted()
    running.send_signal(signal.SIGTERM)
    _line(running, "finishing the items in progress")
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=60)
    assert running.returncode == 143
    assert not alive(worker)


def test_a_worker_process_ends_itself_when_its_run_was_killed(joblot: Joblot):
    """Nothing else could end it; the run can be resumed."""
    options = ["--lines", _names(joblot), "--workers", "1", *FROZEN]
    running = joblot.start("run", "holding:holds", *options, *ALONE)
    worker = _at(joblot)
    joblot.submitted()
    running.kill()
    running.wait()
    eventually(lambda: not alive(worker))
    joblot("run", "--resume", "1", "--workers", "1", expect=1)
    (stage,) = joblot.json("show", "1")["stages"]
    assert (stage["succeeded"], stage["lost"]) == (11, 1)


def test_a_worker_replaces_a_process_that_holds_the_interpreter(served: Served):
    names = ["n0", "n1", "holds", *[f"n{n}" for n in range(2, 11)]]
    job = served.submit(*names, lease_seconds=1, expiries_max=2)
    worker = served.work("holding:holds", "--processes", "2", *FROZEN)

    def swept() -> bool:
        expire_overdue()  # as a server's sweep does
        return progress(job.pk)["status"] in TERMINAL

    eventually(swept)
    assert served.ended(job) == Counter(succeeded=11, lost=1)
    _line(worker, "frozen: no progress for too long")
    (lost,) = items(job.pk, state="lost")
    assert lost["key"] == "holds"
    assert lost["outcomes"][0]["error"]["message"]
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode in (
        0,
        4,
    )  # 4 if the last lease expired before the last call was killed


def test_a_signal_ends_a_worker_whose_call_holds_the_interpreter(served: Served):
    served.submit("holds")
    worker = served.work("holding:holds", "--item-seconds-max", "2")
    _at(served.joblot)
    process = _child(worker)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 4  # it may have unreported results
    assert not alive(process)


def test_a_thread_that_never_ends_holds_up_no_drain(served: Served):
    job = served.submit("a", "b")
    worker = served.work("holding:leaves_a_thread")
    assert served.ended(job) == Counter(succeeded=2)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 0


@pytest.fixture
def pulse() -> Iterator[Pulse]:
    pulse = Pulse.made()
    yield pulse
    pulse.close()


def test_a_pulse_stands_still_in_a_call_only(pulse: Pulse):
    watch = PulseReader(pulse)
    seen_by_another = Pulse(os.dup(pulse.descriptor))
    assert watch.still_seconds() == 0
    seen_by_another.beat()
    watch.still_seconds()
    assert eventually(watch.still_seconds) > 0
    seen_by_another.beat()
    assert watch.still_seconds() == 0
    assert watch.still_seconds() == 0
    seen_by_another.close()


def test_the_time_a_watcher_was_stopped_itself_is_not_held_against_a_call(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch
):
    watch = PulseReader(pulse)
    pulse.beat()
    watch.still_seconds()
    later = time.monotonic() + 3_600
    monkeypatch.setattr("joblot.worker.pulse.time.monotonic", lambda: later)
    assert watch.still_seconds() <= GAP_SECONDS_MAX
