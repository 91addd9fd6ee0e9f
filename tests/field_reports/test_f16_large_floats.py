"""F16: numbers come back as the same JSON, whichever database has kept them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joblot.api.json_text import json_text
from joblot.canonical import canonical
from joblot.ledger.claim.claim import claim
from joblot.ledger.read.items import items
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import add_items, submit
from joblot.wire import success
from tests.api.conftest import Api, admin, api

__all__ = ["admin", "api"]

NUMBERS = [
    *(1e15, 1e16, -1e16, 1e17, 1.5e16, 123456789012345680.0, 1e22, 1e23, 1.7976931348623157e308),
    *(10**16, 10**22, 2**80, -(10**17), 0, 1, 1.0, 0.1, 1e-7, 5e-324, 123456789.123456789),
]
VALUE = {"n": NUMBERS, "1e+22": 'a "1e+22" \\', "nested": [[1e22]]}


def _kept(job: int) -> tuple[Any, Any]:
    (item,) = items(job)
    return item["payload"], item["outcomes"][0]["output"]


def test_large_floats_stay_floats(ledger_db: str):
    job = submit("j", [{"key": "k", "payload": VALUE}], pipeline="p", seal=False)
    (lease,) = claim("p", idempotency_key=None).leases
    assert repr(lease.items[0].payload["n"]) == repr(NUMBERS)
    report(lease.token, [success(lease.items[0].id, VALUE)])
    payload, output = _kept(job.pk)
    for kept in (payload, output):
        assert repr(kept["n"]) == repr(NUMBERS)
        assert kept == VALUE
    assert add_items(job.pk, [{"key": "k", "payload": VALUE}]) == 0


def test_and_over_http(ledger_db: str, admin: Api):
    made = {"name": "j", "pipeline": "p", "items": [{"key": "k", "payload": VALUE}]}
    job = admin.post("jobs", made)["id"]
    (lease,) = admin.post("claims", {"pipelines": ["p"]})["leases"]
    result = {"item": 0, "outcome": "succeeded", "output": lease["items"][0]["payload"]}
    admin.post("results", {"lease": lease["token"], "results": [result]})
    for kept in _kept(job):
        assert repr(kept["n"]) == repr(NUMBERS)


VALUES = st.recursive(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.text('e+1"\\ ', max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("1e+"), inner, max_size=3),
    max_leaves=9,
)


@given(VALUES)
@pytest.mark.parametrize("written", [canonical, json_text])
def test_the_text_has_the_same_value_and_no_large_exponent(written: Any, value: Any):
    text = written(value)
    assert repr(json.loads(text)) == repr(
        json.loads(json.dumps(value, sort_keys=written is canonical))
    )
