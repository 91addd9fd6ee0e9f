"""The workers' verbs: claim, renew, release, report."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status
from pydantic import ValidationError

from joblot.api.body import json_of
from joblot.api.expected import expected
from joblot.api.jobs import caller_with, require_sight
from joblot.api.long_polling import Granted, NoWork, attach
from joblot.api.openapi import json_body
from joblot.api.problems import of_error
from joblot.api.schemas.common import BIGINT_MAX, Name
from joblot.api.schemas.work import (
    ClaimIn,
    ClaimOut,
    NextClaimIn,
    NextOut,
    PrintedIn,
    PrintedOut,
    ReleaseOut,
    RenewIn,
    RenewOut,
    ReportIn,
    ReportOut,
    RevokedOut,
    TakeIn,
    WorkerIn,
    WorkersOut,
)
from joblot.config import limits
from joblot.errors import InvalidInput, JoblotError, TooLarge, Unavailable
from joblot.identity.caller import Caller, Scope
from joblot.ledger.claim.after_report import report_and_claim
from joblot.ledger.claim.availability import next_job
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.claim.claim import claim_as
from joblot.ledger.claim.take import offered, take
from joblot.ledger.lease import release, renew
from joblot.ledger.maintain.revocation import restore_worker, revoke_worker
from joblot.ledger.read.workers import workers as all_workers
from joblot.ledger.report.printed import keep_printed
from joblot.ledger.report.report import report
from joblot.ledger.rows import workers
from joblot.ledger.rows.names import checked_name
from joblot.shown import shown
from joblot.states import NoLease
from joblot.wire import CallProgress, NextClaim, Reported, receipts_json

router = Router(tags=["work"])

WORKER = "Joblot-Worker"

T = TypeVar("T")

LeaseToken = Annotated[str, Path(max_length=64)]


def worker_of(request: HttpRequest, caller: Caller, about: Any = None) -> str:
    """The instance id that the worker sends; records that it was seen.

    Raises InvalidInput, so call it first: a verb that succeeded must not be answered with an error.
    """
    instance = request.headers.get(WORKER, "")
    if instance:
        workers.seen(caller.owner, instance, about)
    return instance


@router.post("claims", response=ClaimOut)
def create_claim(request: HttpRequest, body: ClaimIn) -> Any:
    """Claim items to work on. If there are none, the answer says why and when to ask again."""
    caller = caller_with(request, Scope.WORK)
    _require_claimable(caller, body)
    asked = _as_claim(caller, body, worker_of(request, caller, body.about))
    granted = claim_as(asked, shared=True)
    answer = HttpResponse(json.dumps(granted.as_json()), content_type="application/json")
    if body.idempotency_key is None:
        attach(answer, Granted(tuple(lease.token for lease in granted.leases)))
    # A caller at its limit waits for its own workers, which this server can't observe.
    if not granted.leases and body.wait_seconds > 0 and granted.reason != NoLease.AT_LIMIT:
        wanted = Wanted.of(body.pipelines, body.job, caller.projects)
        attach(answer, NoWork(min(body.wait_seconds, limits().wait_seconds_max), wanted))
    return answer


@router.get("jobs/next", response=NextOut)
def get_next_job(
    request: HttpRequest,
    pipeline: Annotated[list[Name], Query(min_length=1)],
    job: Annotated[int | None, Query(ge=1, le=BIGINT_MAX)] = None,
) -> Any:
    """The job that a claim would be served from now; changes nothing."""
    caller = caller_with(request, Scope.WORK, Scope.READ)
    _require_pipelines(caller, pipeline)
    following = next_job(
        pipeline,
        job=job,
        projects=caller.projects,
        owner=caller.owner,
        owner_items_max=caller.in_flight_items_max,
    )
    return following.as_json()


@router.post("leases/{token}/renew", response=RenewOut)
def renew_lease(request: HttpRequest, token: LeaseToken, body: RenewIn | None = None) -> Any:
    """Extend the lease's deadline, and say how far the work is."""
    caller = caller_with(request, Scope.WORK)
    worker_of(request, caller)
    asked = body or RenewIn()
    progress = None if asked.progress is None else CallProgress(**asked.progress.model_dump())
    until = renew(token, asked.seconds, progress=progress)
    return {"expires_at": until}


@router.post("leases/{token}/take", response=RenewOut)
def take_lease(request: HttpRequest, token: LeaseToken, body: TakeIn) -> Any:
    """Take over a lease that a dispatcher has published; the first worker gets it."""
    caller = caller_with(request, Scope.WORK)
    worker = worker_of(request, caller)
    found = offered(token)
    caller.require_pipelines([found.pipeline])
    require_sight(caller, found.job_id)
    until = take(
        token,
        body.dispatcher,
        worker=worker,
        owner=caller.owner,
        owner_items_max=caller.in_flight_items_max,
    )
    return {"expires_at": until}


@router.post("leases/{token}/release", response=ReleaseOut)
def release_lease(request: HttpRequest, token: LeaseToken) -> Any:
    """Give back the lease's open items, at no cost to their budgets."""
    caller = caller_with(request, Scope.WORK)
    worker_of(request, caller)
    released = release(token)
    return {"released": released}


@router.post("leases/{token}/printed", response=PrintedOut)
def keep_what_was_printed(request: HttpRequest, token: LeaseToken, body: PrintedIn) -> Any:
    """Keep what items have printed, in the job's log, which is bounded."""
    caller = caller_with(request, Scope.WORK)
    instance = worker_of(request, caller)
    workers.require_not_revoked(caller.owner, instance)
    return {"kept": keep_printed(token, [(one.item, one.text) for one in body.printed])}


@router.post(
    "results",
    response=ReportOut,
    openapi_extra=json_body(ReportIn),
)
def create_results(request: HttpRequest) -> Any:
    """Report results of a lease: judged one by one, settled together, answered after the commit.

    Posting the same results again is always safe. The lease's token is the right to report,
    whatever token the request carries, so a worker whose token was changed loses no result. With
    `claim`, the answer brings the next lease: `claim` is then what `POST claims` would answer, or
    `claim_problem` its error. Whatever becomes of the claim, the results are judged as without it.
    """
    caller = caller_with(request, Scope.WORK)
    body = json_of(request)
    lease, results = _reported(body)
    given = body.get("claim")
    if given is None:
        worker_of(request, caller)
        shape = receipts_json(_once_more(partial(report, lease, results)))
    else:
        shape = _report_and_claim(request, caller, lease, results, given)
    return HttpResponse(json.dumps(shape), content_type="application/json")


def _report_and_claim(
    request: HttpRequest, caller: Caller, lease: str, results: list[Any], given: Any
) -> dict[str, Any]:
    """Report, and claim if that is allowed; an error of the claim is part of the answer."""
    try:
        asked = _parsed(given)
        worker = worker_of(request, caller, asked.about)
        _require_claimable(caller, asked)
    except JoblotError as error:
        answer = Reported(_once_more(partial(report, lease, results)), claim_error=error)
    else:
        claim_next = _as_claim(caller, asked, worker)
        answer = _once_more(partial(report_and_claim, lease, results, claim_next, shared=True))
    problem = answer.claim_error and of_error(answer.claim_error).members
    found = answer.claim and answer.claim.as_json()
    return receipts_json(answer.receipts) | {"claim": found, "claim_problem": problem}


def _once_more(report_: Callable[[], T]) -> T:
    """Report again if the database was lost: after a failover, each thread's connection is dead.

    What the first call has committed is then a duplicate, and its lease, if it got one, goes back.
    """
    try:
        return report_()
    except Unavailable:
        return report_()


def _parsed(given: Any) -> NextClaimIn:
    """The claim of a report. Raises InvalidInput."""
    if not isinstance(given, dict):
        raise InvalidInput(f"claim: expected an object, got {shown(given)}")
    try:
        return NextClaimIn.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=True)[0]
        where = ".".join(map(str, ("claim", *first["loc"])))
        raise InvalidInput(f"{where}: {expected(first)}") from None


def _require_claimable(caller: Caller, asked: NextClaimIn) -> None:
    """Raises InvalidInput, NotAllowed for another token's pipelines, NotFound for its job."""
    _require_pipelines(caller, asked.pipelines)
    if asked.job is not None:
        require_sight(caller, asked.job)


def _as_claim(caller: Caller, asked: NextClaimIn, worker: str) -> NextClaim:
    return NextClaim(
        asked.pipelines,
        min(asked.limit, limits().claim_items_max),
        job=asked.job,
        projects=caller.projects,
        worker=worker,
        owner=caller.owner,
        owner_items_max=caller.in_flight_items_max,
        # Per token: a guessed key must not reveal another token's lease.
        idempotency_key=asked.idempotency_key and f"{caller.owner}:{asked.idempotency_key}",
    )


def _require_pipelines(caller: Caller, pipelines: list[str]) -> None:
    """Raises InvalidInput for too many or an invalid name, NotAllowed for another token's."""
    most = limits().pipelines_per_claim_max
    if len(pipelines) > most:
        raise InvalidInput(f"pipelines: expected at most {most}, got {len(pipelines)}")
    caller.require_pipelines(checked_name(name, "pipelines") for name in pipelines)


def _reported(body: Any) -> tuple[str, list[Any]]:
    """The lease, and the results, which are judged one by one later. Raises InvalidInput."""
    lease = body.get("lease") if isinstance(body, dict) else None
    results = body.get("results") if isinstance(body, dict) else None
    if not isinstance(lease, str) or not isinstance(results, list):
        raise InvalidInput('expected {"lease": "<token>", "results": [{"item", "outcome", …}, …]}')
    most = limits().results_per_report_max
    if len(results) > most:
        raise TooLarge(f"results: expected at most {most}, got {len(results)}; split them", most)
    return lease, results


@router.get("workers", response=WorkersOut)
def list_workers(request: HttpRequest) -> Any:
    """All workers ever seen; a token without the scope admin sees only its own."""
    caller = caller_with(request, Scope.READ, Scope.WORK)
    everybody = Scope.ADMIN in caller.scopes
    return {"workers": all_workers(None if everybody else caller.owner)}


@router.post("workers/revoke", response=RevokedOut)
def revoke(request: HttpRequest, body: WorkerIn) -> Any:
    """Refuse the worker's claims, renewals and reports, and release its leases."""
    caller = caller_with(request, Scope.ADMIN)
    released = revoke_worker(body.owner, body.instance, actor=caller.actor, reason=body.reason)
    return {"released": released}


@router.post("workers/restore", response={204: None})
def restore(request: HttpRequest, body: WorkerIn) -> Any:
    """Undo a revocation."""
    caller = caller_with(request, Scope.ADMIN)
    restore_worker(body.owner, body.instance, actor=caller.actor, reason=body.reason)
    return Status(204, None)
