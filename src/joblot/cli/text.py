"""The reading commands' output for people; with --json they print the reader's own answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from joblot.cli.display import settled
from joblot.cli.printable import printable, say_row

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
        out().print(f"{reason['text']} ({reason['code']})", soft_wrap=True)


def items(page: Sequence[Row]) -> None:
    table(
        ["item", "key", "state", "cause"],
        ([str(item["id"]), item["key"], item["state"], why] for item, why in _causes(page)),
    )


def _causes(page: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """Each item with its cause; if an earlier item of the page has the same one, its number."""
    seen: dict[str, int] = {}
    for item in page:
        text = cause(item)
        first = seen.setdefault(text, item["id"])
        yield item, text if not text or first == item["id"] else f"as item {first}"


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
