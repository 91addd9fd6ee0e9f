"""One act on all jobs that match a filter, after a question that names their number.

If the number has changed meanwhile, it asks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from joblot.cli import text
from joblot.cli.exits import ENDED_BADLY
from joblot.cli.ledger import Ledger, Row
from joblot.cli.options import existing_id
from joblot.cli.printable import printable
from joblot.errors import InvalidInput, NumberChanged, WrongStatus

DONE, LEFT = "done", "left"  # fates of a job

JobOrAll = Annotated[
    int | None,
    typer.Argument(metavar="[JOB]", callback=existing_id, help="The job's number; or use --all."),
]
All = Annotated[bool, typer.Option("--all", help="All jobs that match the options below.")]
Status = Annotated[
    str | None, typer.Option("--status", metavar="LIST", help="With --all: e.g. pending,started.")
]
Project = Annotated[
    str | None, typer.Option("--project", metavar="LIST", help="With --all: of these projects.")
]
Pipeline = Annotated[
    str | None,
    typer.Option("--pipeline", metavar="LIST", help="With --all: with a stage of these pipelines."),
]
Owner = Annotated[
    str | None,
    typer.Option("--owner", metavar="LIST", help="With --all: submitted by these; `me`: by you."),
]
Named = Annotated[
    str | None, typer.Option("--name", metavar="TEXT", help="With --all: with TEXT in the name.")
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="With --all: created since, e.g. 7d, 2026-11-24."),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="With --all: created before.")
]
Expected = Annotated[
    int | None,
    typer.Option(
        "--expected", metavar="N", min=0, help="With --all: refuse unless N jobs; do not ask."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="With --all: do not ask.")]


@dataclass(frozen=True, slots=True)
class Many:
    """The jobs that match; does not ask if their number is `expected`, or with `yes`."""

    given: dict[str, str]
    expected: int | None
    yes: bool
    reason: str

    @property
    def is_answered(self) -> bool:
        return self.yes or self.expected is not None


def chosen(
    job: int | None,
    *,
    everything: bool,
    expected: int | None,
    yes: bool,
    reason: str,
    alone: dict[str, Any] | None = None,
    **given: str | None,
) -> int | Many:
    """The one job, or many. `alone` are options that are for one job only. Raises InvalidInput."""
    wanted = {name: value for name, value in given.items() if value is not None}
    if (job is None) != everything:
        raise InvalidInput("expected the number of a JOB, or --all; not both")
    if everything:
        for option, value in (alone or {}).items():
            if value is not None and value is not False:
                raise InvalidInput(f"{option}: expected a single JOB, not --all")
        return Many(wanted, expected, yes, reason)
    if job is None or wanted or yes or expected is not None:
        raise InvalidInput("--status, --project, …, --expected and --yes go with --all")
    return job


def act_on_many(ledger: Ledger, act: str, many: Many) -> None:
    """Ask, act, and say how it went. Raises typer.Exit unless all that were to change have."""
    answer = None
    while answer is None:
        asked = ledger.ask(act, many.given)
        answer = _answered(ledger, act, many, asked)
    text.out().print(answer["text"])
    for one in answer["outcomes"]:
        if one["fate"] != DONE:
            line = f"job {one['id']} {printable(one['name'])}: {one['fate']}: {one['text']}"
            text.err().print(line, soft_wrap=True)
    if any(one["fate"] not in (DONE, LEFT) for one in answer["outcomes"]):
        raise typer.Exit(ENDED_BADLY)


def _answered(ledger: Ledger, act: str, many: Many, asked: Row) -> Row | None:
    """None if it has to be asked again."""
    if many.expected is None and asked["refusal"]:
        raise WrongStatus(asked["refusal"])
    if not many.is_answered:
        _confirm(asked)
    seen = {"mark": asked["mark"], "items": asked["items"]} if many.expected is None else {}
    expected = asked["jobs"] if many.expected is None else many.expected
    try:
        return ledger.act_on_all(act, many.given, expected=expected, reason=many.reason, **seen)
    except NumberChanged as changed:
        if many.is_answered:
            raise
        text.err().print(str(changed), soft_wrap=True)
        return None


def _confirm(asked: Row) -> None:
    """Raises typer.Abort."""
    for sentence in (asked["title"], *asked["happens"]):
        text.err().print(printable(sentence), soft_wrap=True)
    if asked["type_number"] is None:
        typer.confirm(f"{asked['verb']}?", abort=True, err=True)
        return
    typed = typer.prompt(f"To confirm, type the number of jobs ({asked['type_number']})", err=True)
    if typed.strip() != str(asked["type_number"]):
        text.err().print("That is not the number of jobs; nothing was changed.")
        raise typer.Abort
