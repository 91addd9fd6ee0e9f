"""A minimal worker: it claims, reports, and reads the effects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from joblot.ledger.claim.availability import next_job
from joblot.ledger.claim.claim import claim
from joblot.ledger.read.history import events
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.models import Job
from joblot.wire import GrantedLease, Result, failure, success

TWO_STAGES = [{"name": "read", "pipeline": "p"}, {"name": "save", "pipeline": "q"}]


def keys(items: int) -> list[str]:
    return [f"k{n}" for n in range(items)]


def lease(pipelines: str | Iterable[str] = "p", limit: int = 16, **more: Any) -> GrantedLease:
    """Claim; return the lease, which must be granted."""
    answer = claim(pipelines, limit, **more)
    assert answer.leases, f"no lease: {answer.reason}"
    return answer.leases[0]


def nothing(pipelines: str | Iterable[str] = "p", **more: Any) -> bool:
    return not claim(pipelines, **more).leases


def nothing_ready(pipelines: str = "p") -> bool:
    return next_job(pipelines).job is None


def numbers(lease: GrantedLease) -> list[int]:
    return [item.id for item in lease.items]


def receipts(lease: GrantedLease | str, *results: Result | dict[str, Any]) -> list[str]:
    token = lease if isinstance(lease, str) else lease.token
    return [answer.receipt.value for answer in report(token, results)]


def succeed(lease: GrantedLease, *only: int, output: Any = None) -> list[str]:
    """Report success for these items, or for all."""
    return receipts(lease, *(success(number, output) for number in only or numbers(lease)))


def fail(lease: GrantedLease, *only: int, retryable: bool = False) -> list[str]:
    given = only or numbers(lease)
    return receipts(lease, *(failure(n, "Bad", "broken", retryable=retryable) for n in given))


def drain(*pipelines: str) -> None:
    """Work until nothing is ready, always with success."""
    while leases := claim(pipelines or ("p",)).leases:
        succeed(leases[0])


def counts(job: Job, stage: int = 0) -> dict[str, int]:
    """The counts of a stage's settled items, without zeros."""
    known = progress(job.pk)["stages"][stage]
    return {name: known[name] for name in ("succeeded", "failed", "lost", "skipped") if known[name]}


def metrics(job: Job, stage: int = 0) -> dict[str, int]:
    return dict(progress(job.pk)["stages"][stage]["metrics"])


def status(job: Job) -> str:
    return str(progress(job.pk)["status"])


def revision(job: Job) -> int:
    return int(progress(job.pk)["revision"])


def kinds(job: Job) -> list[str]:
    return [event["kind"] for event in events(job.pk)]
