"""`audit`: recount jobs and compare; with `--repair`, repair what can be repaired."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from joblot.cli import text
from joblot.cli.exits import DONE, ENDED_BADLY
from joblot.cli.ledger import Ledger, open_ledger
from joblot.cli.options import AsJson, Db, Url, existing_id
from joblot.cli.printable import say_json, say_page
from joblot.errors import InvalidInput
from joblot.gauge import Gauge, as_text


def audit(
    job: Annotated[
        int | None, typer.Argument(metavar="JOB", callback=existing_id, help="The job's number.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Audit every job.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what can be repaired, and print each change.")
    ] = False,
    as_json: AsJson = False,
    as_metrics: Annotated[
        bool, typer.Option("--metrics", help="With --all: print gauges for Prometheus.")
    ] = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Recount a job and compare; exit code 1 if an invariant is broken."""
    if (job is None) != every:
        raise InvalidInput("audit: expected either a JOB or --all")
    if as_metrics and (as_json or not every):
        raise InvalidInput("audit: --metrics requires --all, and excludes --json")
    with open_ledger(db, url) as ledger:
        if job is not None:
            answer = ledger.repair(job) if repair else ledger.audit(job)
            say_json(answer) if as_json else _print_one(answer)
        else:
            answer = _every(ledger, repair=repair)
            if as_metrics:
                say_page(as_text(_gauges(answer)))
            elif as_json:
                say_json(answer)
            else:
                _print_all(answer)
    raise typer.Exit(DONE if answer["ok"] else ENDED_BADLY)


def _every(ledger: Ledger, *, repair: bool) -> dict[str, Any]:
    """`{"ok", "count_drift", "jobs": [{"job", "ok", "count_drift", "broken", …}]}`."""
    jobs = []
    for found in ledger.audit_all():
        answer = found
        if repair and not found["ok"]:
            answer = {"job": found["job"], **ledger.repair(found["job"])}
        broken = [check for check in answer.pop("checks") if not check["ok"]]
        jobs.append({**answer, "broken": broken})
    return {
        "ok": all(one["ok"] for one in jobs),
        "count_drift": sum(one["count_drift"] for one in jobs),
        "jobs": jobs,
    }


def _gauges(answer: dict[str, Any]) -> list[Gauge]:
    broken = sum(not one["ok"] for one in answer["jobs"])
    return [
        Gauge(
            "count_drift", answer["count_drift"], "Difference between the tallies and a recount."
        ),
        Gauge("audited_jobs", len(answer["jobs"]), "Jobs recounted by the last audit."),
        Gauge("broken_jobs", broken, "Jobs for which the last audit found a broken invariant."),
    ]


def _print_one(answer: dict[str, Any]) -> None:
    text.changes(answer.get("changes", []))
    text.audit(answer)


def _print_all(answer: dict[str, Any]) -> None:
    for one in answer["jobs"]:
        if one["broken"] or one.get("changes"):
            text.out().print(f"job {one['job']}:")
            text.changes(one.get("changes", []))
            text.audit({"checks": one["broken"]})
    broken = sum(not one["ok"] for one in answer["jobs"])
    drift = f"count_drift {answer['count_drift']:,}"
    text.out().print(f"{len(answer['jobs']):,} jobs, {broken:,} with a fault, {drift}")
