"""Outputs too large for a row: stored in Django's storage, in files named after their hash.

The storage is never called in a transaction, because it may be remote. It may also hang, so a
server's threads need `room` to call it, and files are removed by `file_removal`, in a process that
can be killed. Each file has a row. The row is inserted before the file is stored, so a crash leaves
no unknown file; and a transaction that refers to a file locks the row, so no file is removed while
something refers to it. A name is never reused: a report that finds the file being removed stores
its output under another name.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import InvalidStorageError, Storage, default_storage, storages

from joblot import clock, faults
from joblot.bounded_json import Unreadable, stored
from joblot.config import limits
from joblot.errors import InvalidResult, NotFound, Unavailable
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection, durable, repeated
from joblot.ledger.room import room
from joblot.models import Outcome, StoredOutput, Uncounted
from joblot.states import FileState

logger = logging.getLogger("joblot.ledger")


class NotStored(Exception):
    """The storage raised; its own error is the cause."""


def storage() -> Storage:
    """`STORAGES["joblot"]` if the project defines it, else its default storage."""
    try:
        return storages["joblot"]
    except InvalidStorageError:
        return default_storage


def is_large(size: int) -> bool:
    """Whether an output of so many bytes goes to the storage.

    Raises InvalidResult above `output_bytes_max`.
    """
    if size > limits().output_bytes_max:
        raise InvalidResult(
            f"output: expected at most {limits().output_bytes_max} bytes, got {size}; "
            "store it elsewhere and report where it is"
        )
    return size > limits().output_bytes_inline_max


def output_of(output: Any, output_ref: str | None) -> Any:
    """The output, wherever it is stored. Raises NotFound if it has been removed."""
    if output_ref is None:
        return output
    try:
        with room(), storage().open(output_ref) as file:
            return stored(file.read().decode())
    except FileNotFoundError as error:
        raise NotFound(
            f"output {output_ref}: its file is gone; its job may have been removed"
        ) from error


def readable_output(output: Any, output_ref: str | None) -> Any:
    """The same, or Unreadable if its file is gone. Raises Unavailable if the storage fails."""
    try:
        return output_of(output, output_ref)
    except Unavailable:
        raise
    except NotFound:
        return Unreadable(f"{output_ref} is no longer in the storage")
    except Exception as error:  # a storage may raise any error
        raise Unavailable(
            f"the storage of outputs failed: {error!r:.200}; try again later"
        ) from error


# Storing


def store(canonical_output: str, digest: bytes) -> str:
    """Store an output; returns the name of its file, which an earlier report may have stored.

    Raises NotStored, Unavailable.
    """
    content = canonical_output.encode()
    known = _known(digest)
    if known and _is_whole(known, len(content)):
        return known
    folder, nonce = digest.hex()[:2], secrets.token_hex(4)
    name = f"joblot/outputs/{folder}/{digest.hex()}-{nonce}.json"
    _announce(name, digest)
    saved = _save(name, content)
    faults.point("outputs: stored, not said")
    if not _say_stored(name, saved):
        _take_back(saved)
        raise Unavailable(f"{name}: storing it took too long; nothing was done, try again later")
    return saved


def _is_whole(name: str, size: int) -> bool:
    """Whether the file exists in full: other programs may write to the storage too."""
    with _failing_as_not_stored():
        return bool(storage().exists(name) and storage().size(name) == size)


def _save(name: str, content: bytes) -> str:
    with _failing_as_not_stored():
        return storage().save(name, ContentFile(content))


@contextmanager
def _failing_as_not_stored() -> Iterator[None]:
    """Wraps a call of the storage. Raises NotStored if it fails, Unavailable without room."""
    with room():
        try:
            yield
        except Exception as error:
            raise NotStored from error


def _take_back(name: str) -> None:
    """Remove a file that no row names. A file that can't be removed stays."""
    try:
        with room():
            remove(name)
    except Exception:
        logger.exception("%s: the storage did not remove it; it stays, unreferenced", name)


def remove(name: str) -> None:
    """Remove a file if it exists. Raises whatever the storage raises."""
    with suppress(FileNotFoundError):
        storage().delete(name)


@repeated
def _known(digest: bytes) -> str | None:
    stored = StoredOutput.ledger.using(alias()).filter(hash=digest, state=FileState.STORED)
    name: str | None = stored.values_list("name", flat=True).first()
    return name


@repeated
def _announce(name: str, digest: bytes) -> None:
    with durable():
        StoredOutput.ledger.using(alias()).create(
            name=name, hash=digest, state=FileState.WRITING, check_at=_kept_until()
        )


@repeated
def _say_stored(name: str, saved: str) -> bool:
    """Record that the file is stored, under the storage's name. False if it was given up."""
    with durable():
        row = StoredOutput.ledger.using(alias()).filter(name=name, state=FileState.WRITING)
        stored = row.update(name=saved, state=FileState.STORED, check_at=_kept_until())
    return bool(stored)


def _kept_until() -> Any:
    return clock.after(limits().output_unsettled_seconds)


# References to a file


def hold(names: Iterable[str]) -> set[str]:
    """Which of these files this transaction may refer to; they are kept until it ends."""
    asked = sorted(set(names))
    if not asked:
        return set()
    return {name for (name,) in fetch(connection(), "rows/hold_stored", names=asked)}


def let_go(names: Iterable[str]) -> None:
    """Have the sweep check these files, in the transaction that removes references to them."""
    asked = set(names)
    if not asked:
        return
    rows = StoredOutput.ledger.using(alias()).filter(name__in=asked)
    locked = rows.select_for_update(no_key=True).order_by("name")
    found = list(locked.values_list("name", flat=True))
    StoredOutput.ledger.using(alias()).filter(name__in=found).update(check_at=clock.now())


@repeated
def give_up(names: Iterable[str]) -> None:
    """The same for files that were stored but never referred to."""
    with durable():
        let_go(names)


# Marking what nothing refers to


def mark_unreferenced(seconds: float) -> int:
    """Mark unreferenced files for removal, for about `seconds`; returns how many.

    Calls no storage: `file_removal` removes marked files. May run concurrently.
    """
    until, marked = time.monotonic() + seconds, 0
    while time.monotonic() < until and (batch := _mark_unreferenced()) is not None:
        marked += batch
    return marked


@repeated
def _mark_unreferenced() -> int | None:
    """Mark the unreferenced files of a batch; None if there is none to check.

    Skips files that reports hold. Nothing can begin to refer to a file that is locked here, so the
    references are read after locking.
    """
    with durable():
        rows = StoredOutput.ledger.using(alias())
        due = rows.filter(check_at__lte=clock.now()).order_by("check_at")
        locked = due.select_for_update(skip_locked=True).values_list("name", flat=True)
        names = set(locked[: limits().outputs_checked_batch])
        if not names:
            return None
        referred = referred_among(names)
        rows.filter(name__in=referred).update(check_at=None)
        rows.filter(name__in=names - referred).update(
            state=FileState.REMOVING, check_at=None, next_try_at=clock.now()
        )
    return len(names - referred)


def marked() -> Any:
    """The files that are marked for removal."""
    return StoredOutput.ledger.using(alias()).filter(next_try_at__isnull=False)


def referred_among(names: Collection[str]) -> set[str]:
    """Which of these files an outcome or an uncounted result refers to."""
    return {
        str(name)
        for model in (Outcome, Uncounted)
        for name in model.ledger.using(alias())
        .filter(output_ref__in=names)
        .values_list("output_ref", flat=True)
        .distinct()
    }


@repeated
def unreferenced() -> int:
    """How many unreferenced files the sweep should have marked by now."""
    due = StoredOutput.ledger.using(alias()).filter(check_at__lte=clock.now())
    names = set(due.values_list("name", flat=True))
    return len(names - referred_among(names))
