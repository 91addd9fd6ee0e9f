"""A project with handlers that hang, and an adopter's table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.delivery.shop import Shop
from tests.ledger.conftest import exact, own_hooks, saved

__all__ = ["exact", "own_hooks", "saved"]


@pytest.fixture
def make_shop(
    ledger_db: str, saved: Callable[[], dict[str, str]], tmp_path: Path
) -> Iterator[Callable[..., Shop]]:
    """`make_shop(handler_seconds_max=2)`: a shop with short limits, so that tests are quick."""
    made = []

    def make(storage: str | None = None, **limits: float) -> Shop:
        short = {"sweep_seconds": 0.1, "handler_poll_seconds": 0.1, "outbox_backoff_seconds": 0.1}
        made.append(Shop(tmp_path, short | limits))
        if storage is not None:
            made[-1].storage = f"shop.storage.{storage}"
        return made[-1]

    yield make
    for shop in made:
        shop.end()
