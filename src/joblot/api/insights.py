"""Reads of a job: why it waits, what failed, how far it is, whether its counts are exact."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router

from joblot.api.jobs import JobIdInPath, caller_with, require_sight, to_read
from joblot.api.schemas.common import Name
from joblot.api.schemas.jobs import (
    PartitionOut,
)
from joblot.api.schemas.reading import (
    AuditOut,
    CausesOut,
    EstimateOut,
    MapOut,
    RunsOut,
    SummaryOut,
    ThroughputOut,
    WhyOut,
)
from joblot.identity.caller import Scope
from joblot.ledger.read.audit import audit as audit_job
from joblot.ledger.read.causes import causes as causes_of_job
from joblot.ledger.read.eta import eta
from joblot.ledger.read.map import job_map
from joblot.ledger.read.partition import partition
from joblot.ledger.read.runs import runs
from joblot.ledger.read.summary import summary
from joblot.ledger.read.throughput import throughput
from joblot.ledger.read.why import why as why_job
from joblot.wire import ITEM_MAX

router = Router(tags=["jobs"])


@router.get("jobs/{job_id}/why", response=WhyOut)
def get_why(request: HttpRequest, job_id: JobIdInPath) -> Any:
    """Why the job is in its current state; the scope admin describes all workers."""
    caller = caller_with(request, Scope.READ, Scope.SUBMIT)
    require_sight(caller, job_id)
    return why_job(job_id, owner=None if Scope.ADMIN in caller.scopes else caller.owner)


@router.get("jobs/{job_id}/summary", response=SummaryOut)
def get_summary(request: HttpRequest, job_id: JobIdInPath) -> Any:
    """The job, why it is in its current state, and its most frequent causes, in one snapshot."""
    caller = caller_with(request, Scope.READ, Scope.SUBMIT)
    require_sight(caller, job_id)
    return summary(job_id, owner=None if Scope.ADMIN in caller.scopes else caller.owner)


@router.get("jobs/{job_id}/causes", response=CausesOut)
def get_causes(
    request: HttpRequest,
    job_id: JobIdInPath,
    *,
    stage: Name | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 200,
) -> Any:
    """The failed and lost items by cause, the most frequent causes first."""
    to_read(request, job_id)
    return causes_of_job(job_id, stage=stage, limit=limit)


@router.get("jobs/{job_id}/map", response=MapOut)
def get_map(
    request: HttpRequest,
    job_id: JobIdInPath,
    *,
    stage: Name | None = None,
    first: Annotated[int, Query(ge=0, le=ITEM_MAX)] = 0,
    last: Annotated[int | None, Query(ge=0, le=ITEM_MAX)] = None,
    cells: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Any:
    """A stage's items by number, in cells; reads the outcomes of the items it covers."""
    to_read(request, job_id)
    return job_map(job_id, stage=stage, first=first, last=last, cells=cells)


@router.get("jobs/{job_id}/stages", response=PartitionOut)
def get_stages(request: HttpRequest, job_id: JobIdInPath) -> Any:
    """The items of each stage, divided into parts that add up to its total."""
    to_read(request, job_id)
    return partition(job_id)


@router.get("jobs/{job_id}/eta", response=EstimateOut)
def get_eta(request: HttpRequest, job_id: JobIdInPath) -> Any:
    """When the job will be done, from its last 15 minutes; or why that is not known."""
    to_read(request, job_id)
    return eta(job_id)


@router.get("jobs/{job_id}/throughput", response=ThroughputOut)
def get_throughput(request: HttpRequest, job_id: JobIdInPath, window: str = "15m") -> Any:
    """What was settled in each of 60 parts of the last `15m`, `1h`, `6h`, or of the whole `run`."""
    to_read(request, job_id)
    return throughput(job_id, window)


@router.get("jobs/{job_id}/runs", response=RunsOut)
def get_runs(request: HttpRequest, job_id: JobIdInPath) -> Any:
    """The runs of the job and the revisions of their reports, newest first."""
    to_read(request, job_id)
    return {"runs": runs(job_id)}


@router.get("jobs/{job_id}/audit", response=AuditOut)
def get_audit(request: HttpRequest, job_id: JobIdInPath) -> Any:
    """Recount the job and compare; reads every item."""
    to_read(request, job_id)
    return audit_job(job_id)
