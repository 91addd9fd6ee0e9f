"""Each hostile value at each Python entry point: a joblot error, and no effect on the rest."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.errors import InvalidInput, InvalidItem
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import add_items, submit
from joblot.wire import Result, success
from tests.hostile import deep
from tests.ledger import worker
from tests.ledger.worker import counts, keys, receipts

HOSTILE = {
    "101 deep": deep(101),
    "600 deep": deep(600),
    "970 deep": deep(970),
    "100,000 deep": deep(100_000),
    "objects": {"a": {"b": deep(99)}},
    "pairs": ((((deep(98),),),),),
    "U+0000": "a\0b",
    "a name with U+0000": {"\0": 1},
    "a surrogate": "\ud800",
    "a name with a surrogate": {"\udfff": 1},
    "not a number": float("nan"),
    "infinity": [-float("inf")],
    "5,000 digits": 10**5_000,
    "bytes": b"x",
    "an object": object(),
    "a set": {1},
    "names of two kinds": {1: 2, "a": 3},
}
each = pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)


@each
def test_an_item_is_named(ledger_db: str, value: Any) -> None:
    with pytest.raises(InvalidItem, match=r"item 1: payload of 'bad'"):
        submit("j", ["good", {"key": "bad", "payload": value}], pipeline="p")
    job = submit("j", pipeline="p", seal=False)
    with pytest.raises(InvalidItem, match=r"item 0: payload of 'bad'"):
        add_items(job.pk, [{"key": "bad", "payload": value}])
    assert progress(job.pk)["total"] == 0


@each
def test_a_config_a_policy_and_a_name_are_refused(ledger_db: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match="config"):
        submit("j", pipeline="p", config=value)
    for name in ("lease_seconds", "failures_max", "in_flight_items_max"):
        with pytest.raises(InvalidInput, match=name):
            submit("j", pipeline="p", policy={name: value})
    with pytest.raises(InvalidInput):
        submit("j", pipeline="p", priority=value)
    for names in ({"name": value}, {"project": value}, {"pipeline": value}):
        with pytest.raises(InvalidInput):
            submit(**({"name": "j", "pipeline": "p"} | names))


@each
def test_a_result_harms_no_other(ledger_db: str, value: Any) -> None:
    job = submit("j", keys(3), pipeline="p")
    lease = worker.lease()
    given: list[Result | dict[str, Any]] = [success(0), success(1, value), success(2)]
    assert receipts(lease, *given) == ["counted", "rejected", "counted"]
    error = {"type": value, "message": value}
    assert receipts(lease, {"item": 1, "outcome": "failed", "error": error, "output": value}) == [
        "counted"
    ]
    assert counts(job) == {"succeeded": 2, "failed": 1}


@each
@pytest.mark.parametrize("field", ["item", "outcome", "metrics", "retryable", "error"])
def test_a_result_of_a_wrong_shape_harms_no_other(sqlite_only: str, value: Any, field: str) -> None:
    submit("j", keys(2), pipeline="p")
    lease = worker.lease()
    bad = {"item": 0, "outcome": "failed"} | {field: value}
    found = receipts(lease, bad, success(1))
    assert found[1] == "counted"
    assert found[0] in ("rejected", "counted")
    receipts(lease, {"item": 0, "outcome": "failed"})
