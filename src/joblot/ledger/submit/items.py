"""Filling a job: chunks of items, deduplicated by key and numbered under the job's row lock.

Numbers are assigned after deduplication and are dense, so the count of items is exact and the queue
can hold ranges of them. A chunk is one short transaction: after a crash the job can be filled again
from the beginning. Items that exist already are compared and skipped, in any order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction

from joblot import faults
from joblot.canonical import canonical, is_storable
from joblot.config import limits
from joblot.errors import InvalidItem, InvalidResult, KeyConflict, Refused, WrongStatus
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.transactions import alias, connection, repeated
from joblot.ledger.rows.claimable import note_claimable
from joblot.ledger.rows.items import ItemRow, items_by_key
from joblot.ledger.rows.job import advance, lock_job
from joblot.ledger.rows.ranges import Span, enqueue
from joblot.models import Job
from joblot.shown import shown
from joblot.states import FILLABLE
from joblot.words import any_of, quoted

_CHARACTER_BYTES_MAX = 4  # in UTF-8

Chunk = dict[str, "NewItem"]  # by key
Taken = tuple[int, list[int]]  # how many of a chunk were new, and the numbers of all of them


def chunks_of(items: Iterable[Given]) -> Iterator[Chunk]:
    """The items, checked while they are read, in chunks of a bounded size.

    Raises InvalidItem; KeyConflict for two items of a chunk with one key and different payloads.
    """
    return map(_distinct, _chunks(checked_items(items)))


class Filling:
    """A stream of items being added to one job.

    `added` counts the items that were new so far; `seen` holds the numbers of all items that the
    stream has named. `lacks` makes the error for an item that is missing from a sealed job.
    """

    def __init__(self, job_id: int, lacks: Callable[[Job, str], Refused]) -> None:
        self.added = 0
        self.seen = Seen()
        self._job_id = job_id
        self._lacks = lacks
        self._compares = False  # the last chunk had items that the job has

    def take(self, chunks: Iterable[Chunk]) -> None:
        """Compare with the existing items and add the missing ones, chunk by chunk.

        Raises WrongStatus; KeyConflict at the first item with another payload.
        """
        for chunk in chunks:
            added, numbers = self._take(chunk)
            self.added += added
            for number in numbers:
                self.seen.add(number)
            faults.point("submit: chunk added")

    def _take(self, chunk: Chunk) -> Taken:
        """Insert it as it is, and look for items that the job has only after one was found.

        Items that the job has come together: where a chunk has some, the next one is compared
        first. Where it has none, the next one is inserted as it is again.
        """
        if not self._compares:
            with suppress(IntegrityError):  # rolled back: an item exists
                return self._take_chunk(chunk, compare=False)
        added, numbers = self._take_chunk(chunk, compare=True)
        self._compares = added < len(chunk)
        return added, numbers

    @repeated
    def _take_chunk(self, given: Chunk, *, compare: bool) -> Taken:
        """How many items were new, and the numbers of all of them in the job.

        Without `compare`, all must be new if the job takes items: raises IntegrityError if one is
        not. Locks the job's row, so that concurrent streams into one job number their items one
        after the other, and a job whose removal has begun is not mistaken for one without the
        items.
        """
        with transaction.atomic(using=alias()):
            job = lock_job(self._job_id)
            numbers = _compared(job, given) if compare or not _takes_items(job) else {}
            new = [item for key, item in given.items() if key not in numbers]
            if new:
                self._require_open(job, new[0])
                _insert(job, new)
                enqueue(job.pk, 0, _spans(job.total, len(new)))
                advance(job.pk, job.version, total=job.total + len(new))
                note_claimable()
        return len(new), [*numbers.values(), *range(job.total, job.total + len(new))]

    def _require_open(self, job: Job, new: NewItem) -> None:
        if job.sealed:
            raise self._lacks(job, new.key)
        if not _takes_items(job):
            raise WrongStatus(
                f"job {job.pk} is {quoted(job.status)} and takes no items now; expected "
                f"{any_of(FILLABLE)}"
            )


def _takes_items(job: Job) -> bool:
    return not job.sealed and job.status in FILLABLE and job.reopening is None


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


def _distinct(chunk: Iterable[NewItem]) -> Chunk:
    distinct: Chunk = {}
    for item in chunk:
        if distinct.setdefault(item.key, item) != item:
            raise _conflict(item.key)
    return distinct


def _compared(job: Job, given: dict[str, NewItem]) -> dict[str, int]:
    """The numbers of the items that the job has. Raises KeyConflict if a payload differs."""
    if job.total == 0:
        return {}
    numbers = {}
    for known in items_by_key(job.pk, given):
        if not _alike(given[known.key].payload, known):
            raise _conflict(known.key)
        numbers[known.key] = known.number
    return numbers


def _alike(given: str | None, known: ItemRow) -> bool:
    """True if the payload equals the stored one, however the database formats its numbers."""
    if given is None or (known.payload is None and not known.null_payload):
        return given is known.payload and not known.null_payload
    kept = canonical(known.payload)
    return given == kept or bool(_numbers_by_value(given) == _numbers_by_value(kept))


def _numbers_by_value(text: str) -> Any:
    """PostgreSQL returns 1e+22 as a whole number; the pair distinguishes numbers from booleans."""

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
    conn = connection()
    dialect_of(conn).insert(conn, "joblot_item", "job_id, number, key, payload", rows)


def _spans(first: int, items: int) -> Iterator[Span]:
    """New items cut into ranges that grow with the job; there are enough to keep claims apart."""
    wanted = (first + items) // limits().ranges_per_job
    size = min(max(limits().range_items_min, wanted), limits().range_items_max)
    for begin in range(first, first + items, size):
        yield Span(begin, min(begin + size, first + items) - 1)


Given = Mapping[str, Any] | str


class NewItem(NamedTuple):
    """A key and its payload as JSON text, or None without a payload."""

    key: str
    payload: str | None


def checked_items(items: Iterable[Given]) -> Iterator[NewItem]:
    """Raises InvalidItem for the first invalid item, with its position in the stream."""
    for position, given in enumerate(items):
        try:
            yield checked_item(given)
        except InvalidItem as error:
            raise InvalidItem(f"item {position}: {error}") from error


def checked_item(given: Given) -> NewItem:
    """Raises InvalidItem."""
    key, payload, has_payload = _parts(given)
    if not isinstance(key, str) or not 0 < len(key) <= limits().item_key_chars_max:
        raise InvalidItem(
            f"key: expected text of 1 to {limits().item_key_chars_max} characters, got {shown(key)}"
        )
    if not is_storable(key):
        raise InvalidItem(f"key: expected text without U+0000 or lone surrogates, got {shown(key)}")
    if not has_payload:
        return NewItem(key, None)
    try:
        text = canonical(payload)
    except InvalidResult as error:
        raise InvalidItem(f"payload of {shown(key)}: {error}") from error
    most = limits().payload_bytes_max
    if len(text) * _CHARACTER_BYTES_MAX > most and len(text.encode()) > most:
        raise InvalidItem(
            f"payload of {shown(key)}: expected at most {most} bytes, got "
            f"{len(text.encode())}; put the data elsewhere and its address into the payload"
        )
    return NewItem(key, text)


def _parts(given: Any) -> tuple[Any, Any, bool]:
    """Key, payload, and whether a payload was given: it may be null."""
    if isinstance(given, str):
        return given, None, False
    if not isinstance(given, Mapping):
        raise InvalidItem(f'expected {{"key", "payload"}} or a key, got {type(given).__name__}')
    if unknown := sorted(set(given) - {"key", "payload"}, key=str):
        raise InvalidItem(f'expected only "key" and "payload", got also {shown(unknown[0])}')
    return given.get("key"), given.get("payload"), "payload" in given


class Seen:
    """A set of item numbers. A million items take 128 KiB, in any order."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, number: int) -> None:
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        if not self._bits[place] & bit:
            self._bits[place] |= bit
            self._count += 1

    @property
    def bytes_held(self) -> int:
        return len(self._bits)
