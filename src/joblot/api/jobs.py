"""Jobs: creating and reading them, and what an operator does to them."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Status

from joblot.api.schemas.common import BIGINT_MAX, Why
from joblot.api.schemas.jobs import (
    CancelIn,
    ChangeIn,
    CountsOut,
    CountsQuery,
    EditIn,
    JobIn,
    JobOut,
    JobsOut,
    JobsQuery,
    RetryIn,
    SealIn,
)
from joblot.errors import InvalidInput
from joblot.identity.caller import Caller, Scope
from joblot.ledger.job import lifecycle
from joblot.ledger.job.edit import edit
from joblot.ledger.job.retry import retry
from joblot.ledger.read.filters import JobFilters
from joblot.ledger.read.listing import counts, listing
from joblot.ledger.read.progress import progress
from joblot.ledger.rows.author import AuthorFields
from joblot.ledger.rows.job import read_job
from joblot.ledger.submit.submit import seal as seal_job
from joblot.ledger.submit.submit import submit
from joblot.models import Job

router = Router(tags=["jobs"])

JobIdInPath = Annotated[int, Path(ge=1, le=BIGINT_MAX)]


def caller_with(request: HttpRequest, *scopes: Scope) -> Caller:
    """The caller, if it has one of these scopes. Raises NotAllowed."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    caller.require(*scopes)
    return caller


def require_sight(caller: Caller, job_id: int) -> Job:
    """The job, if the caller may see it. Raises NotFound."""
    job = read_job(job_id)
    caller.require_sight(job_id, job.project)
    return job


def to_change(request: HttpRequest, job_id: int) -> Job:
    return require_sight(caller_with(request, Scope.SUBMIT), job_id)


def author(request: HttpRequest, body: ChangeIn | None = None) -> AuthorFields:
    """The arguments `actor` and `reason` of a verb."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    return {"actor": caller.actor, "reason": (body.reason if body else None) or ""}


def to_read(request: HttpRequest, job_id: int) -> Job:
    return require_sight(caller_with(request, Scope.READ, Scope.SUBMIT), job_id)


@router.post("jobs", response={201: JobOut})
def create_job(request: HttpRequest, body: JobIn) -> Any:
    """Create a job. With an idempotency key, a repeated request finds it and adds missing items.

    Different content with the same key is a `key_conflict`.
    """
    caller = caller_with(request, Scope.SUBMIT)
    project = caller.project_for(body.project)
    header = request.headers.get("Idempotency-Key")
    if body.idempotency_key and header and header != body.idempotency_key:
        raise InvalidInput("idempotency_key: expected the same in the body and in the header")
    job = submit(
        body.name,
        body.items,
        pipeline=body.pipeline,
        stages=None if body.stages is None else [stage.dict() for stage in body.stages],
        project=project,
        priority=body.priority,
        config=body.config,
        policy=body.policy,
        start=body.start,
        seal=body.seal,
        idempotency_key=body.idempotency_key or header,
        actor=caller.actor,
    )
    return Status(201, progress(job.pk))


@router.get("jobs", response=JobsOut)
def list_jobs(
    request: HttpRequest,
    filters: Annotated[JobsQuery, Query()],
    before: Annotated[int | None, Query(ge=1, le=BIGINT_MAX)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> Any:
    """Jobs by a filter, the newest first unless `sort` says otherwise, a page at a time.

    `status`, `project`, `pipeline` and `owner` are lists such as `STARTED,FAILURE`; the owner `me`
    is the caller. `since` and `until` are times, or how long ago, such as `7d`.
    """
    caller = caller_with(request, Scope.READ, Scope.SUBMIT)
    asked = JobFilters.of(filters.given(), me=caller.names)
    page = listing(asked, projects=caller.projects, before=before, limit=limit)
    by_id = page[-1]["id"] if page.next and asked.sort == "-created" else None
    return {"jobs": page, "next": by_id, "after": page.next}


@router.get("jobs/counts", response=CountsOut)
def count_jobs(request: HttpRequest, filters: Annotated[CountsQuery, Query()]) -> Any:
    """How many jobs the same filter would show for each status; counting ends at a limit."""
    caller = caller_with(request, Scope.READ, Scope.SUBMIT)
    asked = JobFilters.of(filters.given(), me=caller.names)
    found = counts(asked, projects=caller.projects)
    return {
        "counts": {
            status.value: {"jobs": count.jobs, "over": count.over}
            for status, count in found.items()
        }
    }


@router.get("jobs/{job_id}", response=JobOut)
def get_job(request: HttpRequest, job_id: JobIdInPath) -> Any:
    """Status and counts, exact at the instant `as_of`."""
    caller = caller_with(request, Scope.READ, Scope.SUBMIT)
    job = progress(job_id)
    caller.require_sight(job_id, job["project"])
    return job


@router.delete("jobs/{job_id}", response={202: None})
def delete_job(request: HttpRequest, job_id: JobIdInPath, reason: Why = "") -> Any:
    """Cancel the job, wait for leases in flight, and remove it. Late results get a receipt."""
    to_change(request, job_id)
    lifecycle.delete(job_id, actor=author(request)["actor"], reason=reason)
    return Status(202, None)


@router.patch("jobs/{job_id}", response=JobOut)
def edit_job(request: HttpRequest, job_id: JobIdInPath, body: EditIn) -> Any:
    """Change the name, the priority, or values of the policy."""
    to_change(request, job_id)
    by = author(request, body)
    edit(job_id, name=body.name, priority=body.priority, policy=body.policy, **by)
    return progress(job_id)


@router.post("jobs/{job_id}/seal", response=JobOut)
def seal_a_job(request: HttpRequest, job_id: JobIdInPath, body: SealIn | None = None) -> Any:
    """Declare that no more items will be added."""
    to_change(request, job_id)
    seal_job(job_id, total=body.total if body else None, **author(request, body))
    return progress(job_id)


@router.post("jobs/{job_id}/start", response=JobOut)
def start_job(request: HttpRequest, job_id: JobIdInPath, body: ChangeIn | None = None) -> Any:
    """Let the items be claimed."""
    to_change(request, job_id)
    lifecycle.start(job_id, **author(request, body))
    return progress(job_id)


@router.post("jobs/{job_id}/pause", response=JobOut)
def pause_job(request: HttpRequest, job_id: JobIdInPath, body: ChangeIn | None = None) -> Any:
    """Grant no more leases; results of those in flight still count."""
    to_change(request, job_id)
    lifecycle.pause(job_id, **author(request, body))
    return progress(job_id)


@router.post("jobs/{job_id}/resume", response=JobOut)
def resume_job(request: HttpRequest, job_id: JobIdInPath, body: ChangeIn | None = None) -> Any:
    """Grant leases again."""
    to_change(request, job_id)
    lifecycle.resume(job_id, **author(request, body))
    return progress(job_id)


@router.post("jobs/{job_id}/cancel", response=JobOut)
def cancel_job(request: HttpRequest, job_id: JobIdInPath, body: CancelIn | None = None) -> Any:
    """End the job without its open items, after a grace period for leases in flight."""
    to_change(request, job_id)
    asked = body or CancelIn()
    lifecycle.cancel(
        job_id,
        grace_seconds=asked.grace_seconds,
        expected=asked.expected,
        **author(request, asked),
    )
    return progress(job_id)


@router.post("jobs/{job_id}/retry", response=JobOut)
def retry_job(request: HttpRequest, job_id: JobIdInPath, body: RetryIn | None = None) -> Any:
    """Retry what did not succeed in the next run, or a selection that failed, also in this one."""
    to_change(request, job_id)
    asked = body or RetryIn()
    retry(
        job_id,
        cause=asked.cause,
        stage=asked.stage,
        keys=asked.keys,
        failed=asked.failed,
        expected=asked.expected,
        config=asked.config,
        start_now=asked.start,
        run=asked.run,
        **author(request, body),
    )
    return progress(job_id)
