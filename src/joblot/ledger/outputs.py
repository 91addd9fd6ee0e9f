"""Outputs too large for a row: they go to Django's storage, named by their hash.

Before the transaction, never in it; the same output is stored once, so doing it again is safe.
"""

from __future__ import annotations

import json
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import InvalidStorageError, Storage, default_storage, storages

from joblot.config import limits
from joblot.errors import InvalidResult


def storage() -> Storage:
    """`STORAGES["joblot"]` where the project has one, else its default storage."""
    try:
        return storages["joblot"]
    except InvalidStorageError:
        return default_storage


def store_if_large(canonical_output: str, digest: bytes) -> str | None:
    """The name under which the output was stored, or None if it is kept in its row.

    Raises InvalidResult if it is larger than `output_bytes_max`.
    """
    size = len(canonical_output.encode())
    if size > limits().output_bytes_max:
        raise InvalidResult(
            f"output: expected at most {limits().output_bytes_max} bytes, got {size}; "
            "store it elsewhere and report where it is"
        )
    if size <= limits().output_bytes_inline_max:
        return None
    name = f"joblot/outputs/{digest.hex()[:2]}/{digest.hex()}.json"
    if storage().exists(name) and storage().size(name) == size:  # not cut off by a crash
        return name
    return storage().save(name, ContentFile(canonical_output.encode()))


def output_of(output: Any, output_ref: str | None) -> Any:
    """The output, wherever it is kept."""
    if output_ref is None:
        return output
    with storage().open(output_ref) as stored:
        return json.load(stored)
