"""How many cores this process may use: those it is bound to, within the quota of its container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path

CONTROLLER = "cpu"  # of version 1


@dataclass(frozen=True, slots=True)
class Cores:
    """`why` says what limits them to fewer than the machine has; "" if nothing does."""

    count: int
    why: str = ""


def cores(root: Path = Path("/")) -> Cores:
    """`root` is the root of the file system, for a stand-in of its control groups."""
    machine = os.cpu_count() or 1
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine
    quota = min(_quotas(root), default=float(bound))
    if quota < bound:
        return Cores(max(1, ceil(quota)), f"the CPU quota is {quota:g} of {machine} cores")
    return Cores(bound, f"bound to {bound} of {machine} cores" if bound < machine else "")


def _quotas(root: Path) -> Iterator[float]:
    """In cores, of this process's control group and of all above it."""
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, group = rest.partition(":")
        if not names:
            yield from _of_version_2(mounted, group)
        elif CONTROLLER in names.split(","):
            for place in {mounted / CONTROLLER, mounted / names}:
                yield from _of_version_1(place, group)


def _of_version_2(mounted: Path, group: str) -> Iterator[float]:
    for folder in _upwards(mounted, group):
        yield from _ratio(_text(folder / "cpu.max"))


def _of_version_1(mounted: Path, group: str) -> Iterator[float]:
    for folder in _upwards(mounted, group):
        quota, period = (_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        yield from _ratio(f"{quota} {period}")


def _upwards(mounted: Path, group: str) -> Iterator[Path]:
    """The folders of the group and of those above it. In a container it may not be mounted."""
    folder = mounted / group.lstrip("/")
    while folder != mounted and mounted in folder.parents:
        yield folder
        folder = folder.parent
    yield mounted


def _ratio(text: str) -> Iterator[float]:
    """Of `100000 50000`; nothing for `max 50000`, for -1 and for what can't be read."""
    with suppress(ValueError, ZeroDivisionError):
        quota, period = (int(part) for part in text.split())
        if quota > 0:
            yield quota / period


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
