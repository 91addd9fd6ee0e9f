"""Commands that change a whole job: `start`, `seal`, `cancel`, `pause`, `retry`, `priority`, …"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from joblot.cli import many, text
from joblot.cli.ledger import open_ledger
from joblot.cli.options import CauseId, Db, JobId, Reason, Url, json_of
from joblot.cli.printable import printable
from joblot.shown import counted
from joblot.words import status_word


def start(job: JobId, *, reason: Reason = "", db: Db = None, url: Url = None) -> None:
    """Let a job's items be claimed, after `submit --hold` or `retry --hold`."""
    with open_ledger(db, url) as ledger:
        _print_progress(ledger.start(job, reason=reason))


def seal(job: JobId, *, reason: Reason = "", db: Db = None, url: Url = None) -> None:
    """Declare that no more items will be added, so that the job can finish."""
    with open_ledger(db, url) as ledger:
        lacks_items = ledger.lacks_items(job)
        sealed = ledger.seal(job, reason=reason)
    if lacks_items:
        text.err().print(
            f"job {job} may not have all the items of its `joblot run`: it will end with the "
            f"{sealed['total']:,} it has"
        )
    _print_progress(sealed)


def cancel(
    job: many.JobOrAll = None,
    *,
    everything: many.All = False,
    status: many.Status = None,
    project: many.Project = None,
    pipeline: many.Pipeline = None,
    owner: many.Owner = None,
    name: many.Named = None,
    since: many.Since = None,
    until: many.Until = None,
    expected: many.Expected = None,
    yes: many.Yes = False,
    grace_seconds: Annotated[
        float | None,
        typer.Option(
            "--grace-seconds",
            min=0,
            help="How long live leases may still report (default: the job's policy).",
        ),
    ] = None,
    reason: Reason = "",
    db: Db = None,
    url: Url = None,
) -> None:
    """Cancel a job: its open items are not worked any more."""
    which = many.chosen(
        job,
        everything=everything,
        status=status,
        project=project,
        pipeline=pipeline,
        owner=owner,
        q=name,
        since=since,
        until=until,
        expected=expected,
        yes=yes,
        reason=reason,
        alone={"--grace-seconds": grace_seconds},
    )
    with open_ledger(db, url) as ledger:
        if isinstance(which, many.Many):
            many.act_on_many(ledger, "cancel", which)
        else:
            _print_progress(ledger.cancel(which, grace_seconds=grace_seconds, reason=reason))


def pause(
    job: many.JobOrAll = None,
    *,
    everything: many.All = False,
    status: many.Status = None,
    project: many.Project = None,
    pipeline: many.Pipeline = None,
    owner: many.Owner = None,
    name: many.Named = None,
    since: many.Since = None,
    until: many.Until = None,
    expected: many.Expected = None,
    yes: many.Yes = False,
    reason: Reason = "",
    db: Db = None,
    url: Url = None,
) -> None:
    """Grant no more leases; results through live leases still count."""
    which = many.chosen(
        job,
        everything=everything,
        status=status,
        project=project,
        pipeline=pipeline,
        owner=owner,
        q=name,
        since=since,
        until=until,
        expected=expected,
        yes=yes,
        reason=reason,
    )
    with open_ledger(db, url) as ledger:
        if isinstance(which, many.Many):
            many.act_on_many(ledger, "pause", which)
        else:
            _print_progress(ledger.pause(which, reason=reason))


def resume(
    job: many.JobOrAll = None,
    *,
    everything: many.All = False,
    status: many.Status = None,
    project: many.Project = None,
    pipeline: many.Pipeline = None,
    owner: many.Owner = None,
    name: many.Named = None,
    since: many.Since = None,
    until: many.Until = None,
    expected: many.Expected = None,
    yes: many.Yes = False,
    reason: Reason = "",
    db: Db = None,
    url: Url = None,
) -> None:
    """Grant leases again after a pause. (To continue a job of `run`, use `run --resume`.)"""
    which = many.chosen(
        job,
        everything=everything,
        status=status,
        project=project,
        pipeline=pipeline,
        owner=owner,
        q=name,
        since=since,
        until=until,
        expected=expected,
        yes=yes,
        reason=reason,
    )
    with open_ledger(db, url) as ledger:
        if isinstance(which, many.Many):
            many.act_on_many(ledger, "resume", which)
        else:
            _print_progress(ledger.resume(which, reason=reason))


RetryExpected = Annotated[
    int | None,
    typer.Option(
        "--expected",
        metavar="N",
        min=0,
        help="Refuse unless N items are retried; with --all: N jobs, and do not ask.",
    ),
]
OfStage = Annotated[
    str | None,
    typer.Option("--stage", metavar="NAME", help="Only items that failed in this stage."),
]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="KEY", help="Only the failed item with it. Repeatable."),
]
Failed = Annotated[
    bool, typer.Option("--failed", help="All that failed; also while the job is running.")
]


def retry(
    job: many.JobOrAll = None,
    *,
    everything: many.All = False,
    status: many.Status = None,
    project: many.Project = None,
    pipeline: many.Pipeline = None,
    owner: many.Owner = None,
    name: many.Named = None,
    since: many.Since = None,
    until: many.Until = None,
    expected: RetryExpected = None,
    yes: many.Yes = False,
    cause: CauseId = None,
    stage: OfStage = None,
    keys: Keys = None,
    failed: Failed = False,
    config: Annotated[
        str | None, typer.Option("--config", metavar="JSON", help="A new config for this run.")
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Do not start the run yet.")] = False,
    reason: Reason = "",
    db: Db = None,
    url: Url = None,
) -> None:
    """Begin the next run of a job with what did not succeed, or retry a selection that failed.

    A selection of a job that is running or paused is open again at once.
    """
    selection: dict[str, Any] = {"cause": cause, "stage": stage, "keys": keys, "failed": failed}
    which = many.chosen(
        job,
        everything=everything,
        status=status,
        project=project,
        pipeline=pipeline,
        owner=owner,
        q=name,
        since=since,
        until=until,
        expected=expected if everything else None,
        yes=yes,
        reason=reason,
        alone=_alone(selection) | {"--config": config, "--hold": hold},
    )
    with open_ledger(db, url) as ledger:
        if isinstance(which, many.Many):
            many.act_on_many(ledger, "retry", which)
            return
        settings = None if config is None else json_of(config, "--config")
        more: dict[str, Any] = {"expected": expected, "config": settings, "start_now": not hold}
        begun = ledger.retry(which, reason=reason, **selection, **more)
    _print_progress(begun)


def _alone(selection: dict[str, Any]) -> dict[str, Any]:
    """By option."""
    return {f"--{'key' if name == 'keys' else name}": value for name, value in selection.items()}


def priority(
    job: JobId,
    to: Annotated[
        int, typer.Argument(metavar="N", help="Higher is served first; -- before a negative one.")
    ],
    *,
    reason: Reason = "",
    db: Db = None,
    url: Url = None,
) -> None:
    """Change the priority of a job among those of its project."""
    with open_ledger(db, url) as ledger:
        state = ledger.edit(job, priority=to, reason=reason)
    text.out().print(f"job {job}: priority {state['priority']}")


def delete(
    job: JobId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    reason: Reason = "",
    db: Db = None,
    url: Url = None,
) -> None:
    """Cancel a job at once, and delete it with its items and outputs."""
    with open_ledger(db, url) as ledger:
        state = ledger.progress(job)
        if not yes:
            typer.confirm(
                f"delete job {job} ({printable(state['name'])}) with its "
                f"{counted(state['total'], 'item')} and outputs?",
                abort=True,
                err=True,
            )
        ledger.delete(job, reason=reason)
    text.out().print(f"job {job}: deleted")


def _print_progress(state: dict[str, Any]) -> None:
    text.out().print(
        f"job {state['id']}: {status_word(state['status'])}, {text.progress_line(state)}"
    )
