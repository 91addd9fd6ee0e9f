"""`audit`: recount jobs and compare; with `--repair`, mend what can be mended."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from joblot.cli import text, verbs
from joblot.cli.database import open_database
from joblot.cli.exits import DONE, ENDED_BADLY
from joblot.cli.options import AsJson, Db, existing_id
from joblot.cli.printable import say_json, say_page
from joblot.errors import InvalidInput
from joblot.gauge import Gauge, as_text


def audit(
    job: Annotated[
        int | None, typer.Argument(metavar="JOB", callback=existing_id, help="Its number.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every job.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended, and say what was changed.")
    ] = False,
    as_json: AsJson = False,
    as_metrics: Annotated[
        bool, typer.Option("--metrics", help="Print gauges of --all, for Prometheus.")
    ] = False,
    db: Db = None,
) -> None:
    """Recount a job and compare; exit code 1 if an invariant is broken."""
    if (job is None) != every:
        raise InvalidInput("audit: expected either a JOB or --all")
    if as_metrics and (as_json or not every):
        raise InvalidInput("audit: --metrics goes with --all, and without --json")
    open_database(db)
    if job is not None:
        answer = verbs.repair(job) if repair else verbs.audit(job)
        say_json(answer) if as_json else _tell_one(answer)
    else:
        answer = _every(repair=repair)
        if as_metrics:
            say_page(as_text(_figures(answer)))
        elif as_json:
            say_json(answer)
        else:
            _tell_all(answer)
    raise typer.Exit(DONE if answer["ok"] else ENDED_BADLY)


def _every(*, repair: bool) -> dict[str, Any]:
    """`{"ok", "count_drift", "jobs": [{"job", "ok", "count_drift", "broken", …}]}`."""
    jobs = []
    for found in verbs.audit_all():
        answer = found
        if repair and not found["ok"]:
            answer = {"job": found["job"], **verbs.repair(found["job"])}
        broken = [check for check in answer.pop("checks") if not check["ok"]]
        jobs.append({**answer, "broken": broken})
    return {
        "ok": all(one["ok"] for one in jobs),
        "count_drift": sum(one["count_drift"] for one in jobs),
        "jobs": jobs,
    }


def _figures(answer: dict[str, Any]) -> list[Gauge]:
    broken = sum(not one["ok"] for one in answer["jobs"])
    return [
        Gauge("count_drift", answer["count_drift"], "By how much tallies and recount differ."),
        Gauge("audited_jobs", len(answer["jobs"]), "Jobs that the last audit has recounted."),
        Gauge("broken_jobs", broken, "Jobs of which the last audit found an invariant broken."),
    ]


def _tell_one(answer: dict[str, Any]) -> None:
    text.changes(answer.get("changes", []))
    text.audit(answer)


def _tell_all(answer: dict[str, Any]) -> None:
    for one in answer["jobs"]:
        if one["broken"] or one.get("changes"):
            text.out().print(f"job {one['job']}:")
            text.changes(one.get("changes", []))
            text.audit({"checks": one["broken"]})
    broken = sum(not one["ok"] for one in answer["jobs"])
    drift = f"count_drift {answer['count_drift']:,}"
    text.out().print(f"{len(answer['jobs']):,} jobs, {broken:,} with a fault, {drift}")
