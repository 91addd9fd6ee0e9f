"""Files of large outputs, in an in-memory storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from joblot.ledger.maintain.file_removal import remove_files
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.rows.outputs import storage

LARGE = {"text": "ü" * 100}
SMALL = {"output_bytes_inline_max": 100, "output_bytes_max": 1_000}


@pytest.fixture(autouse=True)
def in_memory(configure: Any) -> Iterator[None]:
    configure(**SMALL)
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    with override_settings(STORAGES={"joblot": memory, "default": memory}):
        yield


def collect() -> None:
    """Mark unreferenced files by a sweep, then remove them."""
    sweep()
    remove_files()


def files() -> list[str]:
    names: list[str] = []
    if not storage().exists("joblot/outputs"):
        return names
    for folder in storage().listdir("joblot/outputs")[0]:
        names += storage().listdir(f"joblot/outputs/{folder}")[1]
    return names
