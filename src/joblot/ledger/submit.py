"""Submit: make a job, fill it, seal it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction

from joblot import clock, wire
from joblot.config import Policy, default_policy, limits
from joblot.errors import InvalidInput, InvalidResult, Unavailable, WrongStatus
from joblot.ledger.filling import Given, fill
from joblot.ledger.jobs import advance, read_job, record_event
from joblot.ledger.lifecycle import start as start_job
from joblot.ledger.look import look
from joblot.ledger.names import checked_name
from joblot.ledger.transactions import alias, connection, repeated, require_durable
from joblot.models import Job, Stage
from joblot.shown import shown
from joblot.states import FILLABLE, JobStatus

PRIORITY_MAX = 2**31 - 1


def submit(
    name: str,
    items: Iterable[Given] = (),
    *,
    pipeline: str | None = None,
    stages: Sequence[Mapping[str, str]] | None = None,
    project: str = "default",
    priority: int = 0,
    config: Any = None,
    policy: Mapping[str, Any] | None = None,
    start: bool = True,
    seal: bool = True,
    idempotency_key: str | None = None,
) -> Job:
    """Make a job of `items`, each `{"key": str, "payload": JSON}` or just a key.

    Give one `pipeline`, or `stages` as `[{"name", "pipeline"}]`. Items are taken as a stream and
    can be claimed from the first chunk on if `start`; `seal` says that no more will come. With an
    `idempotency_key` (unique in its project) submitting again finds the same job and adds only
    what is missing. Inside somebody's transaction all of it belongs to that transaction, so a job
    can appear together with the row that caused it.

    Raises InvalidInput, InvalidItem, InvalidPolicy; KeyConflict if a key was given before with
    another payload. What was added before the error stays, in the open job, to be gone on with.
    """
    fields = {
        "name": checked_name(name, "name"),
        "project": checked_name(project, "project"),
        "priority": _priority(priority),
        "config": _config(config),
        "policy": Policy.of(policy, default_policy()).as_json(),
        "idempotency_key": idempotency_key and checked_name(idempotency_key, "idempotency_key"),
        "status": (JobStatus.PENDING if start else JobStatus.CREATED).value,
    }
    job = _find_or_create(fields, _stages(pipeline, stages))
    if start and job.status == JobStatus.CREATED:
        start_job(job.pk)
    if not job.sealed and job.status in FILLABLE:
        fill(job.pk, items)
        if seal:
            _seal(job.pk)
    return read_job(job.pk)


def add_items(job_id: int, items: Iterable[Given]) -> int:
    """Add a stream of items to an open job; returns how many were new.

    An item that is there already is skipped, so adding may be repeated after a crash. Raises
    WrongStatus if the job is sealed or has ended, InvalidItem, KeyConflict.
    """
    require_durable(connection())
    return fill(job_id, items)


def seal(job_id: int) -> Job:
    """Say that no more items will come; a job whose items are all settled finishes now."""
    require_durable(connection())
    _seal(job_id)
    return read_job(job_id)


def _seal(job_id: int) -> None:
    """Seal, and look: after the commit, whoever makes it."""
    for _ in range(limits().look_rounds_max):
        job = read_job(job_id)
        if job.sealed:
            break
        if job.status not in FILLABLE:
            raise WrongStatus(f"job {job_id} is {job.status}; it can't be sealed any more")
        if _seal_once(job):
            break
    else:
        raise Unavailable(f"job {job_id}: sealing was overtaken by other changes; try again")
    transaction.on_commit(lambda: look(job_id) and None, using=alias())


@repeated
def _seal_once(job: Job) -> bool:
    with transaction.atomic(using=alias()):
        return advance(job.pk, job.version, sealed=True)


@repeated
def _find_or_create(fields: Mapping[str, Any], stages: Sequence[tuple[str, str]]) -> Job:
    """The job with this idempotency key, or a new one. Of two at once, both get the same."""
    if known := _by_key(fields):
        return known
    try:
        return _create(fields, stages)
    except IntegrityError:
        if known := _by_key(fields):
            return known
        raise


def _by_key(fields: Mapping[str, Any]) -> Job | None:
    key = fields["idempotency_key"]
    if key is None:
        return None
    jobs = Job.ledger.using(alias())
    found: Job | None = jobs.filter(project=fields["project"], idempotency_key=key).first()
    return found


def _create(fields: Mapping[str, Any], stages: Sequence[tuple[str, str]]) -> Job:
    with transaction.atomic(using=alias()):
        job: Job = Job.ledger.using(alias()).create(**fields, created_at=clock.now())
        Stage.ledger.using(alias()).bulk_create(
            Stage(job_id=job.pk, position=position, name=name, pipeline=pipeline)
            for position, (name, pipeline) in enumerate(stages)
        )
        kind = "created" if fields["status"] == JobStatus.CREATED else "pending"
        record_event(job.pk, 1, 0, kind, {})
    return job


def _stages(
    pipeline: str | None, stages: Sequence[Mapping[str, str]] | None
) -> list[tuple[str, str]]:
    if (pipeline is None) == (stages is None):
        raise InvalidInput('expected either pipeline="…" or stages=[{"name", "pipeline"}, …]')
    if pipeline is not None:
        return [(checked_name(pipeline, "pipeline"), pipeline)]
    assert stages is not None
    if not 1 <= len(stages) <= limits().stages_max:
        raise InvalidInput(f"stages: expected 1 to {limits().stages_max}, got {len(stages)}")
    named = [
        (
            checked_name(stage.get("name"), "stage name"),
            checked_name(stage.get("pipeline"), "pipeline"),
        )
        for stage in stages
    ]
    if len({name for name, _ in named}) < len(named):
        raise InvalidInput("stages: expected different names")
    return named


def _priority(given: Any) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or abs(given) > PRIORITY_MAX:
        raise InvalidInput(
            f"priority: expected a whole number, -{PRIORITY_MAX} to {PRIORITY_MAX}, "
            f"got {shown(given)}"
        )
    return given


def _config(given: Any) -> Any:
    try:
        size = len(wire.canonical(given).encode())
    except InvalidResult as error:
        raise InvalidInput(f"config: {error}") from error
    if size > limits().config_bytes_max:
        raise InvalidInput(
            f"config: expected at most {limits().config_bytes_max} bytes, got {size}"
        )
    return given
