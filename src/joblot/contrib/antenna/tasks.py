"""POST jobs/{id}/tasks: claim items of a job."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from joblot.api.body import read_body
from joblot.api.json_text import parse_json
from joblot.config import limits
from joblot.contrib.antenna.job_ids import JobStage
from joblot.contrib.antenna.limits import antenna_limits
from joblot.contrib.antenna.subjects import Subject
from joblot.contrib.antenna.worker import room, worker_of
from joblot.errors import InvalidInput, LeaseEnded, NotFound
from joblot.identity.caller import Caller
from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import renew
from joblot.ledger.report.report import report
from joblot.ledger.rows.job import read_job, stages_of
from joblot.shown import shown
from joblot.wire import ClaimedItem, GrantedLease, failure

_CLAIMS_MAX = 32  # for one answer, if the worker can't use the claimed items

Task = dict[str, str]


def post_tasks(request: HttpRequest, caller: Caller, job: str) -> dict[str, Any]:
    """Up to `batch_size` tasks; none if the job has none now, whatever the reason."""
    wanted = min(_batch_size(request), limits().claim_items_max)
    asked = JobStage.of(int(job))
    pipeline = _pipeline(caller, asked)
    worker = worker_of(request, caller)
    for _ in range(_CLAIMS_MAX if pipeline else 0):
        limit = min(wanted, room(caller, worker, asked.job, wanted))
        if limit <= 0:
            break
        leases = claim(
            pipeline,
            limit,
            job=asked.job,
            projects=caller.projects,
            worker=worker,
            owner=caller.owner,
            owner_items_max=caller.in_flight_items_max,
        ).leases
        if not leases:
            break
        if tasks := _tasks(leases[0]):
            return {"tasks": tasks}
    return {"tasks": []}


def _batch_size(request: HttpRequest) -> int:
    body = parse_json(read_body(request, limits().worker_about_bytes_max))
    size = body.get("batch_size") if isinstance(body, dict) else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise InvalidInput(f'expected {{"batch_size": <1 or more>}}, got {shown(body)}')
    return size


def _pipeline(caller: Caller, asked: JobStage) -> str:
    """The pipeline of the stage; "" if this token doesn't serve it. Raises NotFound."""
    job = read_job(asked.job, deleted=True)
    caller.require_sight(job.pk, job.project)
    stages = stages_of(job.pk)
    if asked.stage >= len(stages):
        raise NotFound(f"job {int(asked)} does not exist")
    pipeline = str(stages[asked.stage].pipeline)
    return pipeline if caller.pipelines is None or pipeline in caller.pipelines else ""


def _tasks(lease: GrantedLease) -> list[Task]:
    """The lease's items, with a long enough lease; an item without an image fails at once."""
    urls = {item.id: _image_url(item) for item in lease.items}
    if useless := [item for item, url in urls.items() if not url]:
        cause = "expected an image's URL as image_url or url in the payload, or as the key"
        report(lease.token, [failure(item, "NoImageUrl", cause) for item in useless])
    tasks = [
        {
            "id": str(item),
            "image_id": str(item),
            "image_url": url,
            "reply_subject": str(Subject(lease.token, item)),
        }
        for item, url in urls.items()
        if url
    ]
    return tasks if tasks and _is_held(lease) else []


def _is_held(lease: GrantedLease) -> bool:
    """Renew the lease for as long as the worker may take; False if it has already ended."""
    if lease.lease_seconds < antenna_limits().lease_seconds:
        try:
            renew(lease.token, antenna_limits().lease_seconds)
        except LeaseEnded:
            return False
    return True


def _image_url(item: ClaimedItem) -> str:
    payload = item.payload
    if isinstance(payload, dict):
        payload = payload.get("image_url") or payload.get("url")
    if isinstance(payload, str) and payload:
        return payload
    return item.key if item.key.startswith(("http://", "https://")) else ""
