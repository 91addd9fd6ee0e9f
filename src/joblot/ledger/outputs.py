"""Outputs too large for a row: they go to Django's storage, named by their hash.

Before the transaction, never in it; the same output is stored once, so doing it again is safe.
"""

from __future__ import annotations

from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import InvalidStorageError, Storage, default_storage, storages

from joblot.bounded_json import Unreadable, stored
from joblot.config import limits
from joblot.errors import InvalidResult, Unavailable


def storage() -> Storage:
    """`STORAGES["joblot"]` where the project has one, else its default storage."""
    try:
        return storages["joblot"]
    except InvalidStorageError:
        return default_storage


def store_if_large(canonical_output: str, digest: bytes) -> str | None:
    """The name under which the output was stored, or None if it is kept in its row.

    Raises InvalidResult if it is larger than `output_bytes_max`, Unavailable if the storage fails.
    """
    size = len(canonical_output.encode())
    if size > limits().output_bytes_max:
        raise InvalidResult(
            f"output: expected at most {limits().output_bytes_max} bytes, got {size}; "
            "store it elsewhere and report where it is"
        )
    if size <= limits().output_bytes_inline_max:
        return None
    try:
        return _stored(canonical_output.encode(), digest.hex())
    except Exception as error:
        raise _failed(error) from error


def _stored(output: bytes, digest: str) -> str:
    name = f"joblot/outputs/{digest[:2]}/{digest}.json"
    if storage().exists(name) and storage().size(name) == len(output):  # not cut off by a crash
        return name
    return storage().save(name, ContentFile(output))


def output_of(output: Any, output_ref: str | None) -> Any:
    """The output, wherever it is kept."""
    if output_ref is None:
        return output
    with storage().open(output_ref) as file:
        return stored(file.read().decode())


def readable_output(output: Any, output_ref: str | None) -> Any:
    """The same, Unreadable if its file is gone. Raises Unavailable if the storage fails."""
    try:
        return output_of(output, output_ref)
    except FileNotFoundError:
        return Unreadable(f"{output_ref} is not in the storage any more")
    except Exception as error:  # a storage may be anything, and raises errors of its own
        raise _failed(error) from error


def _failed(error: Exception) -> Unavailable:
    return Unavailable(f"the storage of outputs failed: {error!r:.200}; try again later")
