"""The reading commands' output for people; with --json they print the reader's own answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from joblot.cli.printable import printable, say_row
from joblot.cli.stages import IN_ORDER, counts
from joblot.cli.terminal import Lines, console, is_terminal
from joblot.sentences import settled_of
from joblot.words import ITEMS, status_word

Row = dict[str, Any]


def out() -> Lines:
    """Standard output."""
    return Lines(sys.stdout)


def err() -> Lines:
    """Standard error, for people if standard output carries data."""
    return Lines(sys.stderr)


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns on a terminal; otherwise whole values, one row per line."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not is_terminal(sys.stdout):
        for line in (titles, *cells):
            say_row(line)
        return
    from rich.table import Table  # noqa: PLC0415 (slow to load)

    shown = Table(*titles, box=None, pad_edge=False)
    for line in cells:
        shown.add_row(*line)
    console(sys.stdout).print(shown)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = (
        value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value}"
    )
    return printable(" ".join(text.split()))


def jobs(page: Sequence[Row]) -> None:
    titles = ["job", "name", "status", "done", "total", "created (UTC)", "owner"]
    table(titles, map(_job_cells, page))


def _job_cells(job: Row) -> list[Any]:
    done, created = f"{job['percent']:g} %", job["created_at"][:19]
    return [
        *(str(job["id"]), job["name"], status_word(job["status"])),
        *(done, job["total"], created, job["owner"]),
    ]


def job(state: Row) -> None:
    run = f", run {state['run']}" if state["run"] > 1 else ""
    open_ = "" if state["sealed"] else ", still open for items"
    out().print(
        f"job {state['id']} {state['name']}: {status_word(state['status'])}, "
        f"{state['percent']:g} % of {state['total']:,} items{run}{open_}"
    )
    stages(state)


def stages(state: Row) -> None:
    """The counts of each stage, which add up to its total; with bars on a terminal."""
    if is_terminal(sys.stdout):
        from joblot.cli.bars import drawn  # noqa: PLC0415 (Rich is slow to load)

        screen = console(sys.stdout)
        screen.print(*drawn(state, screen.width), sep="\n")
    else:
        table(
            ["stage", *(f"{one.glyph} {one.word}" for one in IN_ORDER), "total"],
            ([stage["name"], *counts(stage).values(), stage["total"]] for stage in state["stages"]),
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
        (
            [str(item["id"]), item["key"], ITEMS[item["state"]].word, why]
            for item, why in _causes(page)
        ),
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


def events(page: Sequence[Row]) -> None:
    for event in page:
        out().print(event_line(event), soft_wrap=True)


def event_line(event: Row) -> str:
    """`2026-11-24T12:00:04 run 2: paused by ana: disk full`."""
    return f"{event['at'][:19]} run {event['run']}: {event['message']}"


def workers(page: Sequence[Row]) -> None:
    titles = ["worker", "state", "host", "version", "pipelines", "items", "per min"]
    titles += ["failed (1 h)", "last seen (UTC)", "last error"]
    table(titles, map(_worker_cells, page))


def _worker_cells(worker: Row) -> list[Any]:
    return [
        worker["instance"],
        "revoked" if worker["revoked_at"] else worker["state"],
        worker["host"],
        worker["version"],
        ", ".join(worker["pipelines"]),
        worker["items"],
        worker["items_per_minute"],
        worker["failed_last_hour"],
        worker["last_seen_at"][:19],
        worker["last_error"],
    ]


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
        parts.append(f"{stage['name']} {settled_of(stage):,} of {stage['total']:,}{note}")
    return "; ".join(parts)


def examination(checks: Iterable[Row]) -> None:
    for check in checks:
        verdict = "ok " if check["ok"] else "BAD"
        advice = f" - {check['advice']}" if check["advice"] else ""
        out().print(f"{verdict} {check['check']}: {check['found']}{advice}", soft_wrap=True)
