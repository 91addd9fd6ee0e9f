"""Worker processes of a run that are replaced, as their user sees it."""

from __future__ import annotations

from tests.cli.conftest import Joblot

GROWS = """
import os
from pathlib import Path


def grows(key):
    with open("calls", "a") as calls:
        calls.write(f"{os.getpid()} {key}\\n")
    if key == "huge" and not Path("was-huge").exists():
        Path("was-huge").touch()
        raise MemoryError("no more")
    return key
"""


def test_a_run_replaces_its_workers_between_items(joblot: Joblot):
    """After 20 items, and after a MemoryError, which `--retry-on` tries again."""
    names = [*(f"n{n}" for n in range(50)), "huge"]
    joblot.write("grow.py", GROWS)
    joblot.write("names", "\n".join(names))
    options = ["--recycle-items", "20", "--retry-on", "MemoryError", "--workers", "1"]
    options += ["--policy", "retry_backoff_seconds=0.01", "--policy", "expiries_max=1"]
    done = joblot("run", "grow:grows", "--lines", "names", *options)
    assert "Succeeded, grows 51 of 51" in done.stderr
    assert "a worker is replaced: its function ran out of memory" in done.stderr
    assert "a worker ended" not in done.stderr
    calls = [line.split() for line in joblot.lines("calls")]
    assert sorted(key for _, key in calls) == sorted([*names, "huge"])
    by_process = [[pid for pid, _ in calls].count(pid) for pid in {pid for pid, _ in calls}]
    assert max(by_process) == 20
    assert len(by_process) >= 3
    assert joblot.json("audit", "1")["ok"]
