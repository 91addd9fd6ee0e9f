"""The reading commands' output for people; with --json they print the reader's own answer."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from joblot.cli.display import settled
from joblot.shown import counted

Row = dict[str, Any]


class _Printing(Console):
    """A console that makes text printable, on one line; tables and bars keep their own lines."""

    def print(self, *objects: Any, **how: Any) -> None:
        super().print(*(printable(one) if isinstance(one, str) else one for one in objects), **how)


def out() -> Console:
    """Standard output, without Rich's markup and highlighting."""
    return _console(stderr=False)


def err() -> Console:
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    """Wraps lines on a terminal only: a pipe or a file has no width."""
    console = _Printing(stderr=stderr, markup=False, highlight=False, emoji=False)
    console.soft_wrap = not console.is_terminal
    return console


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns on a terminal; otherwise whole values, one row per line."""
    console = out()
    shown = Table(*titles, box=None, pad_edge=False)
    plain = []
    for row in rows:
        cells = [_cell(value) for value in row]
        shown.add_row(*cells)
        plain.append(cells)
    if console.is_terminal:
        console.print(shown)
    else:
        for line in (titles, *plain):
            say_row(line)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = (
        value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value}"
    )
    return printable(" ".join(text.split()))


def jobs(page: Sequence[Row]) -> None:
    table(["job", "name", "status", "done", "total", "created (UTC)"], map(_job_cells, page))


def _job_cells(job: Row) -> list[Any]:
    done = f"{job['percent']:g} %"
    return [str(job["id"]), job["name"], job["status"], done, job["total"], job["created_at"][:19]]


def job(state: Row) -> None:
    run = f", run {state['run']}" if state["run"] > 1 else ""
    open_ = "" if state["sealed"] else ", still open for items"
    out().print(
        f"job {state['id']} {state['name']}: {state['status']}, {state['percent']:g} % of "
        f"{state['total']:,} items{run}{open_}"
    )
    stages(state)


def stages(state: Row) -> None:
    names = ["ready", "in_flight", "succeeded", "failed", "lost", "skipped", "cancelled"]
    table(
        ["stage", *names],
        ([stage["name"], *(stage[name] for name in names)] for stage in state["stages"]),
    )
    for stage in state["stages"]:
        for name, total in stage["metrics"].items():
            out().print(f"{stage['name']} {name}: {total:,}")


def reasons(answer: Row) -> None:
    for reason in answer["reasons"]:
        count = f"{counted(reason['count'], 'item')} " if reason["count"] else ""
        out().print(f"{count}{reason['text']} ({reason['code']})")


def items(page: Sequence[Row]) -> None:
    table(
        ["item", "key", "state", "cause"],
        ([str(item["id"]), item["key"], item["state"], cause(item)] for item in page),
    )


def cause(item: Row) -> str:
    """Why the item failed or was lost; for an open item, the error of its last attempt."""
    errors = [one["error"] for one in item["outcomes"] if one["error"]]
    if not errors and item["state"] == "open":
        errors = [one["error"] for one in item["attempts"]]
    if not errors:
        return ""
    last = errors[-1]
    return f"{last['type']}: {last['message']}" if last["message"] else str(last["type"])


def logs(page: Sequence[Row]) -> None:
    for line in page:
        out().print(f"{line['at'][:19]} {line['level']:7} {line['message']}", soft_wrap=True)


def changes(made: Iterable[Row]) -> None:
    for change in made:
        line = f"FIXED   {change['what']}: {change['before']} became {change['after']}"
        out().print(line, soft_wrap=True)


def audit(answer: Row) -> None:
    for check in answer["checks"]:
        if check["ok"]:
            out().print(f"ok      {check['invariant']}", soft_wrap=True)
        else:
            out().print(
                f"BROKEN  {check['invariant']}: expected {check['expected']}, "
                f"found {check['found']}",
                soft_wrap=True,
            )


def progress_line(state: Row) -> str:
    """One line: for each stage how many items are settled, of how many, and the non-successes."""
    parts = []
    for stage in state["stages"]:
        bad = [f"{stage[name]:,} {name}" for name in ("failed", "lost", "skipped") if stage[name]]
        note = f" ({', '.join(bad)})" if bad else ""
        parts.append(f"{stage['name']} {settled(stage):,} of {stage['total']:,}{note}")
    return "; ".join(parts)


def examination(checks: Iterable[Row]) -> None:
    for check in checks:
        verdict = "ok " if check["ok"] else "BAD"
        advice = f" - {check['advice']}" if check["advice"] else ""
        out().print(f"{verdict} {check['check']}: {check['found']}{advice}", soft_wrap=True)


# C0, DEL, C1, and the characters that change the direction of text.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_JSON_CONTROLS = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # json escapes the others


def printable(text: str) -> str:
    """The text on one line, with each control character escaped: `\\x1b`, `\\n`."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def say(line: str) -> None:
    """Print a line to standard output."""
    print(printable(line))


def say_aside(line: str) -> None:
    """Print a line for people to standard error, where no progress bars are drawn."""
    print(printable(line), file=sys.stderr, flush=True)


def say_row(cells: Sequence[str]) -> None:
    """Print a row of a table for programs: cells separated by tabs."""
    print("\t".join(map(printable, cells)))


def say_page(text: str) -> None:
    """Print several lines to standard output."""
    for line in text.splitlines():
        say(line)


def say_json(value: Any, *, indent: int | None = 2) -> None:
    print(json_text(value, indent=indent), flush=True)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Readable JSON, with every control character escaped; json itself escapes only some."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _JSON_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
