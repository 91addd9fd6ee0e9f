"""Live bars: a stage in two lines, its bar and its counts, which add up to the total."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from joblot.cli.pace import Pace, duration
from joblot.cli.printable import printable
from joblot.cli.stages import IN_ORDER, counts
from joblot.words import status_word

BAR_COLUMNS_MAX = 60


class LiveBars:
    """A context manager; `update` takes a job as returned by the ledger's `progress`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._pace = Pace()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def update(self, job: dict[str, Any]) -> None:
        shown = Group(self._headline(job), *drawn(job, self._console.width))
        self._live.update(shown, refresh=True)

    def _headline(self, job: dict[str, Any]) -> Text:
        parts = [
            f"job {job['id']} {job['name']}: {status_word(job['status'])}",
            f"{job['percent']:g} %",
        ]
        if (rate := self._pace.rate(job)) is not None:
            parts.append(f"{rate:,.1f} items/s")
        if job["eta"]:
            parts.append(f"done in about {duration(job['eta']['p50'])}")
        return Text(printable(", ".join(parts)), style="bold")


def drawn(job: dict[str, Any], columns: int) -> Iterator[Text]:
    """The lines of a job's stages."""
    for stage in job["stages"]:
        yield Text(printable(stage["name"]))
        yield bar(counts(stage), min(columns - 1, BAR_COLUMNS_MAX))
        total = f"{stage['total']:,}" + ("" if job["sealed"] else " so far")
        yield from legend(counts(stage), total, columns)


def bar(by_state: dict[str, int], columns: int) -> Text:
    """One bar of all states; a state with any item has a cell at least."""
    line = Text()
    for shade, cells in zip(IN_ORDER, widths(list(by_state.values()), columns), strict=True):
        block = "░" if shade.name == "ready" else "▒" if shade.name == "waiting" else "█"
        line.append(block * cells, style=shade.color or "default")
    return line


def widths(numbers: list[int], columns: int) -> list[int]:
    """Cells for each number, in proportion, `columns` in all if any is above 0."""
    total = sum(numbers)
    if not total:
        return [0] * len(numbers)
    cells = [max(1, round(number * columns / total)) if number else 0 for number in numbers]
    while (over := sum(cells) - columns) != 0 and max(cells) > 1:
        widest = cells.index(max(cells))
        cells[widest] -= 1 if over > 0 else -1
    return cells


def legend(by_state: dict[str, int], total: str, columns: int) -> Iterator[Text]:
    """The counts that are not 0, and their sum; a line ends between two of them."""
    parts = [
        Text.assemble(
            (f"{shade.glyph} ", shade.color or "default"),
            f"{by_state[shade.name]:,} {shade.word}  ",
        )
        for shade in IN_ORDER
        if by_state[shade.name]
    ]
    line = Text()
    for part in (*parts, Text(f"= {total}")):
        if line and line.cell_len + len(part.plain.rstrip()) > columns:
            yield line
            line = Text()
        line.append_text(part)
    yield line
