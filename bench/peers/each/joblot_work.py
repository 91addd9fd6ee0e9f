"""The no-op of joblot's workers, for one item and for lists."""

from __future__ import annotations

from note import BATCH, ran

FUNCTION = "joblot_work:batch" if BATCH else "joblot_work:one"


def one(line: str) -> None:
    ran(int(line))


def batch(lines: list[str]) -> list[None]:
    for line in lines:
        ran(int(line))
    return [None] * len(lines)
