"""Information about other processes from `/proc`. `ps` would cut it to `COLUMNS` characters."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def alive(pid: int) -> bool:
    """False for a process that has ended, also for a zombie."""
    try:
        return (PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command(pid: int) -> str:
    """Its command line, arguments separated by spaces; empty if it has ended."""
    try:
        return (PROC / f"{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """Its child processes that have not been reaped."""
    listed: list[int] = []
    for thread in PROC.glob(f"{pid}/task/*/children"):
        try:
            listed += map(int, thread.read_text().split())
        except OSError:  # the thread has ended
            continue
    return listed
