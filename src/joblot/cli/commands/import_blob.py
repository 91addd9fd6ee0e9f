"""`joblot import-blob`: move running jobs whose progress is one JSON value into the ledger."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from joblot.cli.database import make_database
from joblot.cli.exits import DONE, ENDED_BADLY
from joblot.cli.options import AsJson, Db
from joblot.cli.printable import say, say_json
from joblot.importing import JobAccount, StageAccount
from joblot.shown import counted


def import_blob(
    mapping: Annotated[
        str, typer.Argument(metavar="MODULE:CLASS", help="Where the old system keeps its jobs.")
    ],
    *,
    job: Annotated[
        list[str] | None,
        typer.Option("--job", metavar="ID", help="Only this old job. Repeatable."),
    ] = None,
    cut_over: Annotated[
        bool, typer.Option("--cut-over", help="Close the old jobs, and start the new ones.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; say what would be done.")
    ] = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Move running jobs into the ledger; exit code 1 if something could not be taken over."""
    make_database(db)
    from joblot.importing.move import import_blob as move  # noqa: PLC0415 (Django is set up now)
    from joblot.search_path import add_working_folder  # noqa: PLC0415
    from joblot.worker.function import load  # noqa: PLC0415

    add_working_folder()
    chosen: Any = load(mapping)()
    accounts = []
    for account in move(chosen, jobs=job or (), cut_over=cut_over, dry_run=dry_run):
        accounts.append(account)
        if not as_json:
            _print(account, dry_run=dry_run)
    complete = all(one.is_complete for one in accounts)
    if as_json:
        shown = [one.as_json() for one in accounts]
        say_json({"complete": complete, "dry_run": dry_run, "jobs": shown})
    else:
        left = sum(not one.is_complete for one in accounts)
        say(f"{counted(len(accounts), 'job')}, {left:,} with something that was not taken over")
    raise typer.Exit(DONE if complete else ENDED_BADLY)


def _print(account: JobAccount, *, dry_run: bool) -> None:
    where = "a new job" if account.job_id is None else f"job {account.job_id}"
    would = "would be " if dry_run else ""
    items = f"{counted(account.items, 'item')}, {account.added:,} new"
    say(f"{account.old} {account.name}: {where} {would}{account.done}, {items}")
    if account.error:
        say(f"  {account.error}")
    for stage in account.stages:
        _print_stage(stage, would)


def _print_stage(stage: StageAccount, would: str) -> None:
    from joblot.importing.account import WHY  # noqa: PLC0415 (as above)

    counts = ", ".join(f"{number:,} {name}" for name, number in stage.blob.items()) or "nothing"
    say(
        f"  {stage.name}: the JSON counts {counts}; {counted(stage.results, 'result')} stored; "
        f"{stage.recorded:,} {would}recorded, {stage.already:,} recorded before"
    )
    for reason, count in sorted(stage.not_taken.items()):
        examples = ", ".join(stage.examples.get(reason, []))
        say(f"    not taken over: {count:,} {WHY[reason]}{examples and f': {examples}'}")
