"""Arguments and options that several commands share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from joblot.errors import InvalidInput, NotFound
from joblot.places import absolute
from joblot.policy import HALT_ACTIONS
from joblot.shown import shown
from joblot.worker.printed import Keep

ID_MAX = 2**63 - 1  # of a bigint column
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else absolute(path)


def existing_id(job: int | None) -> int | None:
    """Return a valid job number. Raises NotFound for one outside the range of ids."""
    if job is not None and not 0 < job <= ID_MAX:
        raise NotFound(f"job {job} does not exist; `joblot jobs` lists those that do")
    return job


JobId = Annotated[
    int, typer.Argument(metavar="JOB", callback=existing_id, help="The job's number.")
]
Db = Annotated[
    Path | None,
    typer.Option(
        "--db",
        metavar="PATH",
        callback=_absolute,
        help="An SQLite file (default: JOBLOT_DATABASE_URL, or one in your data folder).",
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the job's event.")
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", help="A server instead of a database (default: JOBLOT_URL; token: JOBLOT_TOKEN)."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
KeepOutput = Annotated[
    Keep,
    typer.Option("--keep-output", help="Of which items to keep what they print, in the job's log."),
]
Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        metavar="NAME=VALUE",
        help="A policy setting, e.g. failures_max=5. Repeatable.",
    ),
]
Lines = Annotated[
    str | None,
    typer.Option("--lines", metavar="FILE", help="One item per line; - is stdin."),
]
JsonLines = Annotated[
    str | None,
    typer.Option("--jsonl", metavar="FILE", help="One JSON item per line; - is stdin."),
]
Null = Annotated[
    bool,
    typer.Option("--null", help="The lines end with a zero byte, as of find -print0."),
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out what can't be an item, and name it.")
]
RetryOn = Annotated[
    list[str] | None,
    typer.Option("--retry-on", metavar="CLASS", help="Also retry these errors. Repeatable."),
]
NoRetryOn = Annotated[
    list[str] | None,
    typer.Option("--no-retry-on", metavar="CLASS", help="Don't retry these errors. Repeatable."),
]
Exec = Annotated[
    str | None,
    typer.Option(
        "--exec",
        metavar="CMD",
        help="A command instead of a function; {path} is the item or a field of it, {key} its key.",
    ),
]
RecycleItems = Annotated[
    int,
    typer.Option(
        "--recycle-items",
        metavar="N",
        min=0,
        help="Replace a worker process after N items (default: never).",
        show_default=False,
    ),
]
RecycleMb = Annotated[
    int,
    typer.Option(
        "--recycle-mb",
        metavar="N",
        min=0,
        help="Replace a worker process that occupies more than N MiB (default: never).",
        show_default=False,
    ),
]
CauseId = Annotated[
    str | None,
    typer.Option(
        "--cause", metavar="HEX", help="Only items that failed for this cause; see joblot causes."
    ),
]
After = Annotated[
    int | None,
    typer.Option("--after", metavar="ID", max=ID_MAX, help="Begin after this id: the next page."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="The maximum to list.")]


def policy_of(given: Iterable[str] | None) -> dict[str, Any]:
    """NAME=VALUE pairs; values are JSON, or a word for a setting of words. Raises InvalidInput."""
    policy: dict[str, Any] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidInput(f"--policy: expected NAME=VALUE, got {pair!r}")
        is_word = value in HALT_ACTIONS
        policy[name] = value if is_word else json_of(value, f"--policy {name}")
    return policy


def json_of(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what}: expected JSON, got {shown(text)} ({error})") from None


def seconds_of(given: str, option: str) -> float:
    """The seconds of a time like 15m. Raises InvalidInput."""
    found = re.fullmatch(r"(\d{1,6})([smhdw])", given)
    if found is None:
        raise InvalidInput(f"{option}: expected a time like 90s, 15m, 12h, 30d, 8w, got {given!r}")
    return float(int(found[1]) * _SECONDS[found[2]])
