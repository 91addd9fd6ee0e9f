"""F13: a payload of null is None for the function, wherever the item comes from and goes to."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.errors import KeyConflict
from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import release
from joblot.ledger.read.items import items
from joblot.ledger.submit.submit import add_items, submit
from joblot.worker import HttpClient, handler
from tests.cli.conftest import Joblot, joblot, make_joblot
from tests.worker.conftest import Working, client, ended, server, token, working

__all__ = ["client", "joblot", "make_joblot", "server", "token", "working"]

GIVEN: list[Any] = [
    {"key": "null", "payload": None},
    {"key": "none"},
    "bare",
    {"key": "zero", "payload": 0},
    {"key": "text", "payload": "null"},
]
EXPECTED = {"null": None, "none": "none", "bare": "bare", "zero": 0, "text": "null"}


def same(value: Any) -> Any:
    return value


def _outputs(job: int) -> dict[str, Any]:
    return {one["key"]: one["outcomes"][0]["output"] for one in items(job, limit=100)}


def test_a_function_gets_none(ledger_db: str, working: Working):
    job = submit("j", GIVEN, pipeline="p")
    with working(handler("p", same).work):
        ended(job.pk)
    assert _outputs(job.pk) == EXPECTED


def test_a_function_gets_none_over_http(ledger_db: str, working: Working, client: HttpClient):
    job = submit("j", GIVEN, pipeline="p")
    with working(handler("p", same).work, client=client):
        ended(job.pk)
    assert _outputs(job.pk) == EXPECTED


def test_a_later_stage_gets_null_as_its_input(ledger_db: str, working: Working):
    stages = [{"name": name, "pipeline": "p"} for name in ("first", "second")]
    job = submit("j", ["k"], stages=stages)
    seen: list[Any] = []
    with working(handler("p", seen.append, whole_item=True).work):
        ended(job.pk)
    assert [(item.key, item.input) for item in seen] == [("k", None), ("k", None)]


def test_an_item_that_is_claimed_again_keeps_its_null(ledger_db: str):
    submit("j", GIVEN, pipeline="p")
    for _ in range(2):
        (lease,) = claim("p", idempotency_key=None).leases
        flags = {item.key: item.null_payload for item in lease.items}
        assert flags == {key: key == "null" for key in EXPECTED}
        release(lease.token)


def test_null_and_no_payload_are_different_content(ledger_db: str):
    job = submit("j", GIVEN, pipeline="p", seal=False)
    assert add_items(job.pk, GIVEN) == 0
    for other in ("null", {"key": "none", "payload": None}, {"key": "zero", "payload": None}):
        with pytest.raises(KeyConflict):
            add_items(job.pk, [other])


def test_a_run_gets_none_from_json_lines(joblot: Joblot):
    joblot.write("same.py", "def same(value):\n    return value\n")
    run = ["run", "same:same", "--jsonl", "-", "--workers", "1", "--out", "-"]
    done = joblot(*run, given='null\n5\n{"key":"k","payload":null}\n')
    assert '{"key": "1", "output": null}\n' in done.stdout
    assert '{"key": "k", "output": null}\n' in done.stdout
