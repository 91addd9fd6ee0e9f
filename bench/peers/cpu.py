"""Processor time of processes and all that they have started, from /proc."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> Iterator[int]:
    """The process and its living descendants."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        return
    for task in tasks:
        try:
            children = (task / "children").read_text().split()
        except FileNotFoundError:
            continue
        for child in children:
            yield from tree(int(child))


def tree_seconds(pid: int) -> float:
    """Processor seconds of the tree, and of its ended processes that were waited for."""
    return sum(map(_own_seconds, tree(pid)))


def ended_children_seconds() -> float:
    """Of all children of this process that have ended and were waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own_seconds(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # The name is in parentheses and may hold any character. The four times follow it at 11 to 14.
    return sum(map(int, stat.rpartition(")")[2].split()[11:15])) / TICKS
