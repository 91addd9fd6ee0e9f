"""`joblot results`: the outputs of a job, whatever its status, for other programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from joblot.cli.cells import cell
from joblot.cli.commands.read import State
from joblot.cli.ledger import open_ledger
from joblot.cli.options import Db, JobId, Url
from joblot.cli.printable import printable, say_json
from joblot.cli.terminal import is_terminal

COLUMNS = ("key", "state", "output", "metrics", "error")


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


def results(
    job: JobId,
    *,
    form: Annotated[Format, typer.Option("--format", help="The format.")] = Format.JSONL,
    state: Annotated[
        State | None, typer.Option("--state", help="Only items in this state.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Of this stage (default: the last one).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Print key, state, output, metrics and error of every item, by number."""
    wanted = state.value if state else None
    with open_ledger(db, url) as ledger:
        found = ledger.results(job, state=wanted, stage=stage)
        _print_csv(found) if form is Format.CSV and not as_json else _print_lines(found)


def _print_lines(found: Iterable[dict[str, Any]]) -> None:
    for result in found:
        say_json({name: result[name] for name in COLUMNS}, indent=None, flush=False)


def _print_csv(found: Iterable[dict[str, Any]]) -> None:
    """Objects and lists as JSON; exact in a file, without control codes on a terminal."""
    clean = printable if is_terminal(sys.stdout) else str
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    for result in found:
        table.writerow(map(clean, cells(result)))


def cells(result: dict[str, Any]) -> Sequence[str]:
    """One row of the CSV."""
    error = result["error"] or {}
    parts = [error.get("type"), error.get("message")]
    metrics = result["metrics"]
    return [
        cell(result["key"]),
        result["state"],
        cell(result["output"]),
        json.dumps(metrics, ensure_ascii=False) if metrics else "",
        cell(": ".join(part for part in parts if part)),
    ]
