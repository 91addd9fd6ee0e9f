"""The result of the storm: one page for people (Markdown), the same for programs (JSON)."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Any

from joblot.ledger.db.transactions import alias, connection
from joblot.ledger.read.audit import audit
from joblot.ledger.read.progress import progress
from joblot.models import Event, Outcome
from joblot.states import ItemState, JobStatus, Receipt
from joblot.testing.certify.truth import Plan
from joblot.testing.certify.wounds import Wound
from joblot.testing.check import Check
from joblot.testing.crew.record import Reported

COUNTS = ("succeeded", "failed", "lost", "skipped")


@dataclass(frozen=True, slots=True)
class Certificate:
    """`tried` describes the test, `checks` its results."""

    at: str  # ISO 8601
    tried: Mapping[str, Any]
    checks: Sequence[Check]
    versions: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        checks = [check.as_json() for check in self.checks]
        return {**asdict(self), "ok": self.ok, "checks": checks}

    def as_markdown(self) -> str:
        lines = [
            f"# joblot on this installation: {'exact' if self.ok else 'NOT EXACT'}",
            "",
            f"{self.at}",
            "",
            "## Tried",
            "",
            *(f"- {name}: {_shown(value)}" for name, value in self.tried.items()),
            "",
            "## Found",
            "",
            "| | check | expected | found |",
            "|---|---|---|---|",
            *(_row(check) for check in self.checks),
            "",
            "## Versions",
            "",
            *(f"- {name}: {value}" for name, value in self.versions.items()),
        ]
        return "\n".join(lines)


def certificate(
    *,
    plan: Plan,
    job_id: int,
    expected: Sequence[Mapping[str, Any]],
    reports: Sequence[Reported],
    wounds: Sequence[Wound],
    ended: Mapping[str, int],
    leases_expired: int,
    seconds: float,
) -> Certificate:
    """Check the job after the storm.

    `expected` holds each stage's counts and sum of units; `ended` the exit codes, by name, of the
    workers that were not killed.
    """
    return Certificate(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        tried=_tried(plan, reports, wounds, leases_expired, seconds),
        checks=[
            *_counts(progress(job_id), expected),
            *_receipts(job_id, reports),
            *_end(job_id),
            Check("workers killed", plan.kills, len(wounds)),
            Check("workers that failed", [], [name for name, code in ended.items() if code]),
            Check("killed workers whose items are all settled", len(wounds), _healed(wounds)),
        ],
        versions=_versions(),
    )


def _tried(
    plan: Plan,
    reports: Sequence[Reported],
    wounds: Sequence[Wound],
    leases_expired: int,
    seconds: float,
) -> dict[str, Any]:
    results = sum(len(one.items) for one in reports)
    first = {(one.stage, n) for one in reports for n in one.items}
    healed = [w.healed_seconds for w in wounds if w.items and w.healed_seconds is not None]
    receipts = Counter(receipt for one in reports for receipt in one.receipts)
    return {
        "seed": plan.seed,
        "items": plan.items,
        "stages": 2,
        "worker processes": plan.workers,
        "killed with SIGKILL and replaced": len(wounds),
        "items held by the killed": sum(wound.items for wound in wounds),
        "leases expired": leases_expired,
        "results answered": results,
        "of them reported again": results - len(first),
        "receipts": dict(receipts),
        "seconds": round(seconds, 2),
        "results per second": round(results / seconds),
        "seconds to heal, median": round(median(healed), 2) if healed else None,
        "seconds to heal, longest": round(max(healed), 2) if healed else None,
    }


def _healed(wounds: Sequence[Wound]) -> int:
    return sum(wound.healed_seconds is not None for wound in wounds)


def _counts(job: Mapping[str, Any], expected: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    bad = any(stage["failed"] for stage in expected)
    status = JobStatus.COMPLETED_WITH_ERRORS if bad else JobStatus.SUCCESS
    yield Check("status", status.value, job["status"])
    for stage, truth in zip(job["stages"], expected, strict=True):
        counts = [truth[name] for name in COUNTS]
        found = [stage[name] for name in COUNTS]
        yield Check(f"{stage['name']}: {', '.join(COUNTS)}", counts, found)
        units = stage["metrics"].get("units", 0)
        yield Check(f"{stage['name']}: sum of the metric", truth["units"], units)


def _receipts(job_id: int, reports: Sequence[Reported]) -> Iterator[Check]:
    """The receipts that workers got must agree with the database."""
    counted = Counter(
        (one.stage, number, outcome)
        for one in reports
        for number, outcome, receipt in zip(one.items, one.outcomes, one.receipts, strict=True)
        if receipt == Receipt.COUNTED
    )
    yield Check("items counted twice", 0, sum(n > 1 for n in counted.values()))
    names = [stage["name"] for stage in progress(job_id)["stages"]]
    rows = Outcome.ledger.using(alias()).filter(job_id=job_id)
    settled = {
        (names[stage], number, "succeeded" if state == ItemState.SUCCEEDED else "failed")
        for stage, number, state in rows.values_list("stage", "number", "state")
    }
    yield Check("results with receipt counted, not in database", 0, len(set(counted) - settled))


def _end(job_id: int) -> Iterator[Check]:
    finished = Event.ledger.using(alias()).filter(job_id=job_id, kind="finished")
    yield Check("finished events", 1, finished.count())
    broken = [check["invariant"] for check in audit(job_id)["checks"] if not check["ok"]]
    yield Check("invariants that the audit finds violated", [], broken)


def _versions() -> dict[str, str]:
    conn = connection()
    if conn.vendor == "sqlite":
        database = sqlite3.sqlite_version
    else:
        with conn.cursor() as cursor:
            cursor.execute("SHOW server_version")
            (database,) = cursor.fetchone()
    return {
        "joblot": version("joblot"),
        conn.display_name: database,
        "Django": version("django"),
        "Python": platform.python_version(),
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
    }


def _row(check: Check) -> str:
    verdict = "ok" if check.ok else "**NO**"
    return f"| {verdict} | {check.what} | {_shown(check.expected)} | {_shown(check.found)} |"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_shown(n)} {name}" for name, n in sorted(value.items())) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value)) or "none"
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)
