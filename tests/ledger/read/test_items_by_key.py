"""Items by their keys, whatever the size of the job."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.read.items import items
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import fail, keys


def test_items_are_found_by_their_keys_in_order_of_their_numbers(ledger_db: str) -> None:
    job = submit("x", keys(9), pipeline="p")
    submit("other", keys(9), pipeline="q")
    fail(worker.lease(limit=3))
    found = items(job.pk, keys=["k7", "absent", "k2"])
    assert [(one["id"], one["key"], one["state"]) for one in found] == [
        (2, "k2", "failed"),
        (7, "k7", "open"),
    ]
    first = items(job.pk, keys=["k7", "k2", "k4"], limit=2)
    assert ([one["id"] for one in first], first.next) == ([2, 4], 4)
    rest = items(job.pk, keys=["k7", "k2", "k4"], after=4)
    assert ([one["id"] for one in rest], rest.next) == ([7], None)


@pytest.mark.parametrize(
    "asked",
    [
        {"keys": []},
        {"keys": "k1"},
        {"keys": ["k1"] * (limits().page_items_max + 1)},
        {"keys": ["k1"], "state": "failed"},
        {"keys": ["k1"], "stage": "p"},
        {"keys": ["k1"], "cause": "0" * 16},
    ],
)
def test_what_can_not_be_asked_is_refused(ledger_db: str, asked: dict[str, Any]) -> None:
    job = submit("x", keys(2), pipeline="p")
    with pytest.raises(InvalidInput, match="keys"):
        items(job.pk, **asked)
