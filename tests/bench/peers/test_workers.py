"""What the peers' harness counts as processor time, and whom it kills."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.peers import workers
from bench.peers.cpu import TICKS, tree, tree_seconds
from bench.peers.shape import Peer
from bench.peers.workers import Failed, Processes
from tests.polling import eventually

BURNT = 0.3  # processor seconds that each process of the script uses
# As accurate as the kernel's clock ticks: user and system time are each cut off.
ENOUGH = BURNT - 2 / TICKS

SCRIPT = f"""
import os, signal, subprocess, sys, time
from pathlib import Path

def burn():
    while time.process_time() < {BURNT}:
        pass

verb = sys.argv[1]
if verb == "fail":
    sys.exit("no such table")
if verb == "child":
    burn()
if verb == "submit":
    subprocess.run([sys.executable, __file__, "child"], check=True)
    burn()
if verb == "drain":
    if os.fork() == 0:
        burn()
        Path("child").write_text(str(os.getpid()))
        signal.pause()
    burn()
    Path("parent").write_text(str(os.getpid()))
    signal.pause()
"""


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setattr(workers, "HERE", tmp_path)
    peer = Peer("p", "P", "script.py", services=(), variants=(), open_items=(), processes=1)
    started = Processes(peer, dict(os.environ), tmp_path)
    yield started
    started.stop()


def written(path: Path) -> bool:
    return path.exists() and path.read_text() != ""


def test_a_command_and_the_child_that_it_waited_for(processes: Processes) -> None:
    processes.run("submit")
    assert processes.cpu_seconds() >= 2 * ENOUGH


def test_living_workers_count_with_their_children_and_still_do_when_killed(
    processes: Processes, tmp_path: Path
) -> None:
    processes.start_workers()
    eventually(lambda: written(tmp_path / "child") and written(tmp_path / "parent"))
    assert processes.cpu_seconds() >= 2 * ENOUGH
    pids = [int((tmp_path / name).read_text()) for name in ("parent", "child")]
    assert set(tree(pids[0])) == set(pids)

    processes.kill()
    assert processes.cpu_seconds() >= 2 * ENOUGH
    assert processes.all_ended()
    eventually(lambda: not any(alive(pid) for pid in pids))


def test_a_child_that_outlives_its_stopped_parent_is_killed(
    processes: Processes, tmp_path: Path
) -> None:
    processes.start_workers()
    eventually(lambda: written(tmp_path / "child") and written(tmp_path / "parent"))
    processes.stop()
    eventually(lambda: not alive(int((tmp_path / "child").read_text())))


def test_a_command_that_fails_shows_its_log(processes: Processes) -> None:
    with pytest.raises(Failed, match="p fail: no such table"):
        processes.run("fail")


def test_a_process_that_is_gone_has_used_nothing() -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitpid(pid, 0)
    assert tree_seconds(pid) == 0


def alive(pid: int) -> bool:
    """Not a zombie, which nothing may be there to reap."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
