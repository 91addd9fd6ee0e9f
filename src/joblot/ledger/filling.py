"""Filling an open job: chunks of items, numbered under the job's row, keys told apart.

Numbers are given after de-duplication and are dense, so the count of items is exact and the queue
can hold ranges of them. A chunk is one short transaction: whoever fills a job and dies can fill
it again from the beginning, and what is there already is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction

from joblot import faults, wire
from joblot.config import limits
from joblot.errors import InvalidItem, InvalidResult, KeyConflict, WrongStatus
from joblot.ledger import candidates
from joblot.ledger.item_rows import items_by_key
from joblot.ledger.jobs import advance, lock_job
from joblot.ledger.ranges import Span, enqueue
from joblot.ledger.transactions import alias, connection, repeated
from joblot.models import Job
from joblot.shown import shown
from joblot.states import FILLABLE

Given = Mapping[str, Any] | str

_COPY = "COPY joblot_item (job_id, number, key, payload) FROM STDIN"
_INSERT = "INSERT INTO joblot_item (job_id, number, key, payload) VALUES (%s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class NewItem:
    """A key and its payload as JSON text; None is no payload."""

    key: str
    payload: str | None


def fill(job_id: int, items: Iterable[Given]) -> int:
    """Add a stream of items, chunk by chunk; returns how many were new."""
    added = 0
    for chunk in _chunks(_checked(items)):
        added += _add_chunk(job_id, chunk)
        faults.point("submit: chunk added")
    return added


def _checked(items: Iterable[Given]) -> Iterator[NewItem]:
    for position, given in enumerate(items):
        try:
            yield _new_item(given)
        except InvalidItem as error:
            raise InvalidItem(f"item {position}: {error}") from error


def _new_item(given: Given) -> NewItem:
    key, payload = (given, None) if isinstance(given, str) else _key_and_payload(given)
    if not isinstance(key, str) or not 0 < len(key) <= limits().item_key_chars_max:
        raise InvalidItem(
            f"key: expected text of 1 to {limits().item_key_chars_max} characters, got {shown(key)}"
        )
    if not wire.is_storable(key):
        raise InvalidItem(f"key: expected text without U+0000 or lone surrogates, got {shown(key)}")
    if payload is None:
        return NewItem(key, None)
    try:
        text = wire.canonical(payload)
    except InvalidResult as error:
        raise InvalidItem(f"payload of {shown(key)}: {error}") from error
    if len(text.encode()) > limits().payload_bytes_max:
        raise InvalidItem(
            f"payload of {shown(key)}: expected at most {limits().payload_bytes_max} bytes, got "
            f"{len(text.encode())}; put the data elsewhere and its address into the payload"
        )
    return NewItem(key, text)


def _key_and_payload(given: Any) -> tuple[Any, Any]:
    if not isinstance(given, Mapping):
        raise InvalidItem(f'expected {{"key", "payload"}} or a key, got {type(given).__name__}')
    if unknown := sorted(set(given) - {"key", "payload"}, key=str):
        raise InvalidItem(f'expected only "key" and "payload", got also {unknown[0]!r:.100}')
    return given.get("key"), given.get("payload")


def _chunks(items: Iterable[NewItem]) -> Iterator[list[NewItem]]:
    chunk: list[NewItem] = []
    chars = 0
    for item in items:
        chunk.append(item)
        chars += len(item.key) + len(item.payload or "")
        if len(chunk) >= limits().add_chunk_items or chars >= limits().add_chunk_bytes:
            yield chunk
            chunk, chars = [], 0
    if chunk:
        yield chunk


@repeated
def _add_chunk(job_id: int, chunk: list[NewItem]) -> int:
    """Locks the job's row, so that fillers of one job number their items one after the other."""
    with transaction.atomic(using=alias()):
        job = lock_job(job_id)
        _require_open(job)
        new = _not_there_yet(job, _distinct(chunk))
        if new:
            _insert(job, new)
            enqueue(job_id, 0, _spans(job.total, len(new)))
            advance(job_id, job.version, total=job.total + len(new))
            candidates.forget()
    return len(new)


def _require_open(job: Job) -> None:
    if job.sealed:
        raise WrongStatus(f"job {job.pk} is sealed: it takes no more items; submit another job")
    if job.status not in FILLABLE or job.reopening is not None:
        raise WrongStatus(
            f"job {job.pk} is {job.status} and takes no items now; "
            f"expected one of {', '.join(sorted(FILLABLE))}"
        )


def _distinct(chunk: Iterable[NewItem]) -> dict[str, NewItem]:
    distinct: dict[str, NewItem] = {}
    for item in chunk:
        if distinct.setdefault(item.key, item) != item:
            raise _conflict(item.key)
    return distinct


def _not_there_yet(job: Job, distinct: dict[str, NewItem]) -> list[NewItem]:
    if job.total == 0:
        return list(distinct.values())
    for known in items_by_key(job.pk, distinct):
        if not _alike(distinct.pop(known.key).payload, known.payload):
            raise _conflict(known.key)
    return list(distinct.values())


def _alike(given: str | None, stored: Any) -> bool:
    """True if the payload is the one stored, however the database writes its numbers."""
    if given is None or stored is None:
        return given is stored
    return bool(_numbers_by_value(given) == _numbers_by_value(wire.canonical(stored)))


def _numbers_by_value(text: str) -> Any:
    """PostgreSQL gives 1e+22 back as a whole number; the pair keeps numbers apart from booleans."""

    def number(digits: str) -> tuple[str, Decimal]:
        return "number", Decimal(digits)

    return json.loads(text, parse_int=number, parse_float=number)


def _conflict(key: str) -> KeyConflict:
    return KeyConflict(
        f"key {shown(key)}: given before in this job with another payload; keys are unique in a "
        "job, so give this item another key or leave it out"
    )


def _insert(job: Job, new: list[NewItem]) -> None:
    rows = ((job.pk, job.total + n, item.key, item.payload) for n, item in enumerate(new))
    with connection().cursor() as cursor:
        if connection().vendor == "postgresql":
            with cursor.copy(_COPY) as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            cursor.executemany(_INSERT, list(rows))


def _spans(first: int, items: int) -> Iterator[Span]:
    """New items cut into ranges that grow with the job: many enough that claimers rarely meet."""
    wanted = (first + items) // limits().ranges_per_job
    size = min(max(limits().range_items_min, wanted), limits().range_items_max)
    for begin in range(first, first + items, size):
        yield Span(begin, min(begin + size, first + items) - 1)
