"""The files that a pattern matches, as a shell would list them.

`**` enters each real folder once, also through links, so that a link to a folder above it ends.
Links are entered after all real folders: which path a file gets does not depend on their names.
"""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ANY_DEPTH = "**"


def is_pattern(name: str) -> bool:
    return glob.has_magic(name)


def matches(pattern: str) -> Iterator[str]:
    """What exists and matches, folders and links to nothing too."""
    above, within, below = _parted(pattern)
    if not within:
        yield from glob.iglob(pattern)  # noqa: PTH207 (Path.glob refuses an absolute one)
        return
    for base in glob.iglob(above) if above else [""]:  # noqa: PTH207
        for folder in _folders(base):
            yield from matches(_join(glob.escape(folder), below or "*"))


def _parted(pattern: str) -> tuple[str, bool, str]:
    """What is above the first `**`, whether there is one, and what is below it."""
    parts = pattern.split("/")
    if ANY_DEPTH not in parts:
        return pattern, False, ""
    at = parts.index(ANY_DEPTH)
    return "/".join(parts[:at]) or "/"[: at > 0], True, "/".join(parts[at + 1 :])


def _join(folder: str, rest: str) -> str:
    return f"{folder.removesuffix('/')}/{rest}" if folder else rest


def _folders(base: str) -> Iterator[str]:
    """The folder and all below it, each once; hidden ones are left out."""
    seen: set[tuple[int, int]] = set()
    folders, links = deque([base]), deque[str]()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        with suppress(OSError):
            found = Path(folder or ".").stat()
            place = (found.st_dev, found.st_ino)
            if place in seen:
                continue
            seen.add(place)
            with os.scandir(folder or ".") as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
            yield folder
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_dir():
                    (links if entry.is_symlink() else folders).append(_join(folder, entry.name))
