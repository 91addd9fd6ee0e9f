"""What an operator does to the installation and its jobs: prune, expire, repair. Scope: admin."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from joblot.api.jobs import JobIdInPath, caller_with, require_sight
from joblot.api.request_shapes import Shape
from joblot.api.schemas.reading import AuditOut
from joblot.api.work import LeaseToken
from joblot.config import limits
from joblot.errors import NotAllowed
from joblot.identity.caller import Caller, Scope
from joblot.ledger.job.prune import prune_for
from joblot.ledger.lease import expire
from joblot.ledger.maintain.repair import repair

router = Router(tags=["upkeep"])


class PruneIn(Shape):
    older_than_seconds: Annotated[float, Field(ge=0, le=100 * 366 * 86_400)]


class PruneOut(Schema):
    """`more`: the time of one request was over; repeat it for the rest."""

    removed: int
    more: bool


class ExpireOut(Schema):
    """False if the lease was no longer live."""

    expired: bool


class ChangeOut(Schema):
    what: str
    before: Any
    after: Any


class RepairOut(AuditOut):
    """What was changed, and the audit after that."""

    changes: list[ChangeOut]


@router.post("prune", response=PruneOut)
def prune_jobs(request: HttpRequest, body: PruneIn) -> Any:
    """Remove the jobs that ended longer ago, with all rows; for a few seconds, see `more`."""
    of_all_projects(request)
    older_than = timedelta(seconds=body.older_than_seconds)
    removed, more = prune_for(older_than, limits().prune_seconds_max)
    return {"removed": removed, "more": more}


@router.post("leases/{token}/expire", response=ExpireOut)
def expire_lease(request: HttpRequest, token: LeaseToken) -> Any:
    """Expire a lease before its deadline because its worker is known to be dead."""
    of_all_projects(request)
    return {"expired": expire(token)}


@router.post("jobs/{job_id}/repair", response=RepairOut)
def repair_job(request: HttpRequest, job_id: JobIdInPath) -> Any:
    """Repair what can be repaired, then audit; reads every item."""
    require_sight(caller_with(request, Scope.ADMIN), job_id)
    return repair(job_id)


def of_all_projects(request: HttpRequest) -> Caller:
    """An admin whose token is not limited to some projects. Raises NotAllowed."""
    caller = caller_with(request, Scope.ADMIN)
    if caller.projects is not None:
        raise NotAllowed("expected a token for every project, got one that is limited to some")
    return caller
