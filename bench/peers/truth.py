"""The truth file: what really ran, written by the workers and known to no framework.

Each call of the no-op appends its item's number to `items` with one write of fixed width, so that a
SIGKILL loses none and the number of calls is the size of the file. Each completion callback appends
to `callbacks` how many calls the file then held, and how many results it was given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

WIDTH = 8  # seven digits and a newline


@dataclass(frozen=True, slots=True)
class Proof:
    """`lost`: items that never ran. `early`: those not run yet when the first callback fired."""

    ran: int
    lost: int
    run_twice: int
    callbacks: int
    early: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class Truth:
    folder: Path

    def calls(self) -> int:
        """How often the no-op was called so far, by the file's size alone."""
        return _size(self.folder / "items") // WIDTH

    def callbacks(self) -> int:
        return len(self._callbacks())

    def last_write(self) -> float:
        """When the last call or callback was recorded, in seconds since the epoch."""
        files = (self.folder / name for name in ("items", "callbacks"))
        return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)

    def prove(self, items: int) -> Proof:
        """Compare the file with the items 0 to `items` - 1; other numbers are an error."""
        calls = list(self._numbers())
        distinct = set(calls)
        strangers = distinct - set(range(items))
        if strangers:
            raise ValueError(f"expected items below {items}, found {sorted(strangers)[:5]}")
        callbacks = self._callbacks()
        early = items - len(set(calls[: callbacks[0]])) if callbacks else 0
        return Proof(
            ran=len(distinct),
            lost=items - len(distinct),
            run_twice=len(calls) - len(distinct),
            callbacks=len(callbacks),
            early=early,
        )

    def _numbers(self) -> Iterator[int]:
        path = self.folder / "items"
        if path.exists():
            yield from map(int, path.read_bytes().split())

    def _callbacks(self) -> list[int]:
        """For each callback, how many calls were recorded when it fired."""
        path = self.folder / "callbacks"
        lines = path.read_text().splitlines() if path.exists() else []
        return [int(line.split()[0]) for line in lines]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
