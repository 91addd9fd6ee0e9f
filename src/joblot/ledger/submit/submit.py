"""Submit: make a job, fill it, seal it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, islice
from typing import Any

from django.db import IntegrityError, transaction

from joblot import clock, telemetry
from joblot.canonical import canonical
from joblot.config import default_policy, limits
from joblot.errors import InvalidInput, InvalidResult, KeyConflict, Unavailable, WrongStatus
from joblot.ledger.db.transactions import alias, connection, knowing, repeated, require_durable
from joblot.ledger.job.lifecycle import start as start_job
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.rows.asked import fingerprints, require_same_submission
from joblot.ledger.rows.author import NOBODY, Author, author_of
from joblot.ledger.rows.job import advance, job_with_key, read_job, record_event
from joblot.ledger.rows.names import checked_name, checked_priority
from joblot.ledger.submit.items import Filling, Given, chunks_of
from joblot.ledger.submit.left_open import ADD_AGAIN, AGAIN_WITH_KEY, WITHOUT_KEY, naming
from joblot.models import Job, Stage
from joblot.policy import Policy
from joblot.shown import counted, shown
from joblot.states import FILLABLE, JobStatus
from joblot.words import quoted


@telemetry.verb("submit")
def submit(
    name: str,
    items: Iterable[Given] | None = None,
    *,
    pipeline: str | None = None,
    stages: Sequence[Mapping[str, str]] | None = None,
    project: str = "default",
    priority: int | None = None,
    config: Any = None,
    policy: Mapping[str, Any] | None = None,
    start: bool = True,
    seal: bool = True,
    idempotency_key: str | None = None,
    actor: str = "",
) -> Job:
    """Make a job of `items`, each `{"key": str, "payload": JSON}` or just a key.

    Give one `pipeline`, or `stages` as `[{"name", "pipeline"}]`. Items are read as a stream and,
    with `start`, can be claimed from the first chunk on; `seal` declares that no more will be
    added. Inside a caller's transaction everything belongs to that transaction, so a job can be
    committed together with the row that caused it.

    With an `idempotency_key`, unique in its project, submitting again finds the same job and adds
    only what is missing, even concurrently. Different content is a KeyConflict: another name,
    pipeline, stages, priority, config or policy, compared as given (defaults are not filled in
    first); an item with another payload; with `seal`, more or fewer items, in any order. Without
    `items`, those of a sealed job are not compared. `start` and `seal` are not content: a later
    submission may start or seal what an earlier one did not. The key is free again once the job is
    deleted. `actor` is who submits; the job's first event carries it.

    Raises InvalidInput, InvalidItem, InvalidPolicy, KeyConflict; WrongStatus if the key's job was
    canceled before it was sealed; NotFound if it is deleted in the meantime. An error in the first
    `add_chunk_items` items leaves no job behind. After that, what was added before the error stays
    in the open job and may be continued. The error names the job as `error.job_id` and its number
    of items as `error.total`; an exception raised by `items` gets a note instead.
    """
    fields = {
        "name": checked_name(name, "name"),
        "project": checked_name(project, "project"),
        "priority": 0 if priority is None else checked_priority(priority),
        "config": _config(config),
        "policy": Policy.of(policy, default_policy()).as_json(),
        "idempotency_key": idempotency_key and checked_name(idempotency_key, "idempotency_key"),
        "status": (JobStatus.PENDING if start else JobStatus.CREATED).value,
    }
    named = _stages(pipeline, stages)
    if idempotency_key is not None:
        fields["asked"] = fingerprints(
            {
                "name": name,
                "pipeline": pipeline,
                "stages": None if stages is None else named,
                "priority": priority,
                "config": config,
                "policy": policy or None,
            }
        )
    submission = _Submission(fields, named, author_of(actor, ""))
    with submission.explaining():
        return submission.made(items, start=start, seal=seal)


@telemetry.verb("add_items")
def add_items(job_id: int, items: Iterable[Given], *, seal: bool = False) -> int:
    """Add a stream of items to an open job; returns how many were new.

    Items that exist already are skipped, so adding may be repeated after a crash, even if the job
    has been sealed since. With `seal`, these are all of the job's items: it is sealed unless it has
    others. Raises InvalidItem, KeyConflict; WrongStatus if an item is new and the job is sealed or
    has ended. What was added before an error stays; the error names the job, as in `submit`.
    """
    require_durable(connection())
    filling = Filling(job_id, _takes_no_more)
    with knowing(lambda: f"{filling.added} items of this stream were added; send all of it again"):
        with naming(job_id, ADD_AGAIN):
            filling.take(chunks_of(items))
        if seal:
            with naming(job_id):
                _seal(job_id, len(filling.seen), by=NOBODY)
    return filling.added


@telemetry.verb("seal")
def seal(job_id: int, *, total: int | None = None, actor: str = "", reason: str = "") -> Job:
    """Declare that no more items will be added; a job whose items are all settled finishes now.

    With `total`, raises KeyConflict unless the job has exactly so many. The event "sealed" carries
    `actor` and `reason`; a job that was sealed already has none.
    """
    by = author_of(actor, reason)
    require_durable(connection())
    with knowing(lambda: "sealing again is safe"):
        _seal(job_id, total, by=by)
        return read_job(job_id)


class _Submission:
    """One submission in progress, and what is known about it if the database fails."""

    def __init__(
        self, fields: Mapping[str, Any], stages: Sequence[tuple[str, str]], by: Author
    ) -> None:
        self._fields, self._stages, self._by = fields, stages, by
        self._key: str | None = fields["idempotency_key"]
        self._job_id: int | None = None
        self._filling: Filling | None = None

    def made(self, items: Iterable[Given] | None, *, start: bool, seal: bool) -> Job:
        chunks = chunks_of(() if items is None else items)
        first = list(islice(chunks, 1))  # before there is a job: bad items leave none behind
        job = _find_or_create(self._fields, self._stages, self._by)
        self._job_id = job.pk
        self._filling = filling = Filling(job.pk, _is_another)
        with naming(job.pk, WITHOUT_KEY if self._key is None else AGAIN_WITH_KEY):
            if start and job.status == JobStatus.CREATED:
                start_job(job.pk, actor=self._by.actor)
            filling.take(chain(first, chunks))
        with naming(job.pk):
            if seal and not (items is None and job.sealed):
                _seal(job.pk, None if self._key is None else len(filling.seen))
            return read_job(job.pk)

    def explaining(self) -> AbstractContextManager[None]:
        """Adds what is known to an Unavailable, except inside a caller's transaction, which fails
        as a whole.
        """
        return nullcontext() if connection().in_atomic_block else knowing(self._known)

    def _known(self) -> str:
        added = self._filling.added if self._filling else 0
        if self._key is not None:
            made = f"job {self._job_id} has {added} new items; " if self._job_id else ""
            return f"{made}submit again with the same key: that adds what is missing"
        if self._job_id is None:
            return (
                "whether a job was made is not known: check before you submit again; with an "
                "idempotency key, submitting again would be safe"
            )
        return (
            f"job {self._job_id} was made, with {added} items so far: add the rest and seal it, or "
            "delete it; to submit again makes another job"
        )


def _is_another(job: Job, key: str) -> KeyConflict:
    return KeyConflict(
        f"item {shown(key)}: job {job.pk}, which has this idempotency key, is sealed and does not "
        "have it; repeat its submission as it was, or use a new key"
    )


def _takes_no_more(job: Job, key: str) -> WrongStatus:
    return WrongStatus(
        f"item {shown(key)}: job {job.pk} is sealed, does not have it, and takes no more items; "
        "submit another job for it"
    )


def _require_all(job: Job, given: int | None) -> None:
    """Raises KeyConflict unless `given`, the number of distinct items given, is the job's total."""
    if given is None or job.total == given:
        return
    others = job.total - given
    raise KeyConflict(
        f"job {job.pk} has {counted(others, 'item')} that this submission did not include"
        + ("" if job.sealed else ", and stays open: seal it if they belong to it")
        + "; to submit something else, use another idempotency key or another job"
    )


def _seal(job_id: int, given: int | None = None, *, by: Author | None = None) -> None:
    """Seal, and reconcile after the commit, which may be the caller's.

    With `by`, the event "sealed" is written; a submission that seals its own job has none. The
    total compared is that of the version that is sealed, so no item is added in between.
    """
    for _ in range(limits().reconcile_rounds_max):
        job = read_job(job_id)
        _require_all(job, given)
        if job.sealed:
            break
        if job.status not in FILLABLE:
            raise WrongStatus(f"job {job_id} is {quoted(job.status)}; it can't be sealed now")
        if _seal_once(job, by):
            break
    else:
        raise Unavailable(f"job {job_id}: sealing was overtaken by other changes; try again")
    transaction.on_commit(lambda: reconcile(job_id) and None, using=alias())


@repeated
def _seal_once(job: Job, by: Author | None) -> bool:
    with transaction.atomic(using=alias()):
        won = advance(job.pk, job.version, sealed=True)
        if won and by is not None:
            record_event(job.pk, job.run, job.revision, "sealed", {"total": job.total}, by=by)
    return won


@repeated
def _find_or_create(
    fields: Mapping[str, Any], stages: Sequence[tuple[str, str]], by: Author
) -> Job:
    """The job with this idempotency key, or a new one. Concurrent calls all get the same job."""
    for _ in range(limits().reconcile_rounds_max):
        if known := _by_key(fields):
            require_same_submission(known, fields["asked"])
            return known
        try:
            return _create(fields, stages, by)
        except IntegrityError:  # another submission made it; it may be deleted before it is found
            if fields["idempotency_key"] is None:
                raise
    raise Unavailable("submitting was overtaken by others with the same key; try again")


def _by_key(fields: Mapping[str, Any]) -> Job | None:
    if (key := fields["idempotency_key"]) is None:
        return None
    return job_with_key(fields["project"], key)


def _create(fields: Mapping[str, Any], stages: Sequence[tuple[str, str]], by: Author) -> Job:
    with transaction.atomic(using=alias()):
        job: Job = Job.ledger.using(alias()).create(
            **fields, owner=by.actor, trace=telemetry.traceparent(), created_at=clock.now()
        )
        Stage.ledger.using(alias()).bulk_create(
            Stage(job_id=job.pk, position=position, name=name, pipeline=pipeline)
            for position, (name, pipeline) in enumerate(stages)
        )
        kind = "created" if fields["status"] == JobStatus.CREATED else "started"
        record_event(job.pk, 1, 0, kind, {}, by=by)
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


def _config(given: Any) -> Any:
    try:
        size = len(canonical(given).encode())
    except InvalidResult as error:
        raise InvalidInput(f"config: {error}") from error
    if size > limits().config_bytes_max:
        raise InvalidInput(
            f"config: expected at most {limits().config_bytes_max} bytes, got {size}"
        )
    return given
