"""The demo's report, for people (a page, a picture) and for programs (JSON)."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from joblot.demo.checks import OUTCOMES
from joblot.demo.run import Run
from joblot.states import Receipt
from joblot.testing.check import Check
from joblot.words import status_word

PICTURE_COLUMNS = 92


def as_json(run: Run, found: Sequence[Check]) -> dict[str, Any]:
    return {
        "ok": all(check.ok for check in found),
        "seed": run.seed,
        "seconds": round(run.seconds, 2),
        "job": run.job,
        "reported": run.reported,
        "repeated": run.repeated,
        "receipts": dict(run.receipts),
        "late_receipts": dict(run.late_receipts),
        "rows": len(run.saved),
        "accuracy": {"right": run.right, "of": run.judged},
        "finished_events": run.finished_events,
        "audit": run.audit,
        "unlocked": {"counted": run.unlocked, "lost": run.lost_unlocked},
        "checks": [check.as_json() for check in found],
    }


def page(run: Run, found: Sequence[Check]) -> RenderableType:
    return Group(_stages(run), "", _story(run), "", _unlocked(run), "", _verdict(found))


def draw(run: Run, found: Sequence[Check], picture: Path, title: str) -> None:
    """Draw the page as an SVG file, without the fonts that Rich would load from the web."""
    console = Console(record=True, width=PICTURE_COLUMNS, file=io.StringIO())
    console.print(page(run, found), highlight=False)
    drawn = console.export_svg(title=title)
    plain = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    picture.write_text(plain, encoding="utf-8")


def _stages(run: Run) -> RenderableType:
    title = f"job {run.job['id']}: {status_word(run.job['status'])}"
    table = Table("stage", title=title, title_justify="left", title_style="bold")
    for name in ("items", *OUTCOMES):
        table.add_column(name, justify="right")
    for stage in run.job["stages"]:
        counts = (stage["total"], *(stage[outcome] for outcome in OUTCOMES))
        table.add_row(stage["name"], *(f"{count:,}" for count in counts))
    return table


def _story(run: Run) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    grid.add_row("reported", f"{run.reported:,} results, {run.repeated:,} of them repeats")
    grid.add_row("receipts", _counts(run.receipts))
    for one in run.failed:
        grid.add_row("failed", Text(f"{one['key']}: {_cause(one)}"))
    if run.killed:
        grid.add_row("killed", f"{run.killed} (SIGKILL); others completed them")
    if run.late:
        grid.add_row("late", f"{run.late}, back after it expired: {_counts(run.late_receipts)}")
    grid.add_row("rows", f"{len(run.saved):,}, saved in the transactions that counted them")
    share = run.right / run.judged
    grid.add_row("accuracy", f"{run.right} of {run.judged} test images: {share:.1%}")
    grid.add_row("time", f"{run.seconds:.1f} s, {run.reported / run.seconds:,.0f} results/s")
    invariants = len(run.audit["checks"])
    grid.add_row("audit", f"all {invariants} invariants hold" if run.audit["ok"] else "BROKEN")
    return grid


def _cause(item: Mapping[str, Any]) -> str:
    errors = (outcome["error"] for outcome in item["outcomes"])
    return next(f"{error['type']}: {error['message']}" for error in errors if error)


def _counts(receipts: Mapping[str, int]) -> str:
    known = [f"{receipts[kind]:,} {kind}" for kind in Receipt if receipts.get(kind)]
    return ", ".join(known) or "none"


def _unlocked(run: Run) -> RenderableType:
    text = Text.assemble(
        "The same reports at the same times, to a counter in a JSON blob that is read, "
        f"changed and written back without a lock: of {run.reported:,} it ",
        (f"lost {run.lost_unlocked:,}", "bold red"),
        f". (It can't recognize the {run.repeated:,} repeats.)",
    )
    return Panel(text, title="the usual way", title_align="left")


def _verdict(found: Sequence[Check]) -> RenderableType:
    wrong = [check for check in found if not check.ok]
    if not wrong:
        return Text(f"Exact: {len(found)} of {len(found)} checks hold.", style="bold green")
    lines = [f"- {one.what}: expected {one.expected}, found {one.found}" for one in wrong]
    return Text("\n".join(["NOT exact:", *lines]), style="bold red")
