"""F1, F2: whatever a function raises or returns, only that item fails, with its cause."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from joblot.ledger.read.items import items
from joblot.ledger.submit.submit import submit
from joblot.worker import HttpClient, handler
from tests.cli.conftest import Joblot, joblot, make_joblot
from tests.cli.test_worker import Served, _drained, served
from tests.field_reports import rough
from tests.worker.conftest import Working, client, ended, server, token, working

__all__ = ["client", "joblot", "make_joblot", "served", "server", "token", "working"]

EACH = pytest.mark.parametrize("name", list(rough.FUNCTIONS))
PATIENT = {"failure_threshold": 1, "retry_backoff_seconds": 0.01}


def _judge(listed: list[dict[str, Any]]) -> None:
    """Assert that every rough item failed with its own cause, and every good one succeeded."""
    seen = {item["key"]: item for item in listed}
    assert set(seen) == set(rough.KEYS)
    for key, item in seen.items():
        (outcome,) = item["outcomes"]
        if key not in rough.ROUGH:
            assert (item["state"], outcome["output"]) == ("succeeded", key)
            continue
        _, kind, message = rough.ROUGH[key]
        assert item["state"] == "failed", key
        assert kind in ("", outcome["error"]["type"]), key
        assert outcome["error"]["message"].startswith(message), key
        assert len(outcome["error"]["message"]) < 5_000


def _copied(joblot: Joblot) -> None:
    shutil.copy(Path(rough.__file__), joblot.folder / "rough.py")


@EACH
def test_a_run_ends_with_each_rough_item_failed_and_all_others_done(joblot: Joblot, name: str):
    _copied(joblot)
    joblot.write("names", "\n".join(rough.KEYS))
    options = ["--workers", "1", "--batch", str(rough.FUNCTIONS[name][1])]
    options += ["--policy", "failure_threshold=1"]
    done = joblot("run", f"rough:{name}", "--lines", "names", *options, expect=1)
    assert "died" not in done.stderr
    _judge(joblot.json("items", "1", "--limit", "1000"))
    assert joblot.json("audit", "1")["ok"]


@EACH
def test_a_worker_over_http_serves_on_after_each_rough_item(served: Served, name: str):
    _copied(served.joblot)
    job = served.submit(*rough.KEYS, failure_threshold=1)
    worker = served.work(f"rough:{name}", "--batch", str(rough.FUNCTIONS[name][1]))
    served.ended(job)
    assert "a worker ended" not in _drained(worker)
    _judge(items(job.pk, limit=1000))


@EACH
def test_a_worker_in_a_program_serves_on_after_each_rough_item(
    ledger_db: str, working: Working, name: str
):
    function, batch = rough.FUNCTIONS[name]
    job = submit("j", rough.KEYS, pipeline="p", policy=PATIENT)
    one = handler("p", function, batch=batch)
    with working(one.work, batch_items=one.batch_items):
        ended(job.pk)
    _judge(items(job.pk, limit=1000))


def test_the_cause_of_a_rough_item_crosses_http(
    ledger_db: str, working: Working, client: HttpClient
):
    job = submit("j", rough.KEYS, pipeline="p", policy=PATIENT)
    with working(handler("p", rough.one).work, client=client):
        ended(job.pk)
    _judge(items(job.pk, limit=1000))


def test_a_function_that_sends_its_process_ctrl_c_costs_a_process_and_no_item(joblot: Joblot):
    _copied(joblot)
    joblot.write("names", "\n".join(rough.GOOD[:8]))
    options = ["--lines", "names", "--workers", "1"]
    joblot("run", "rough:interrupts_itself", *options)


def test_an_output_that_is_changed_after_it_was_returned_is_counted_as_it_was(
    ledger_db: str, working: Working
):
    """Results wait to be reported while the function processes the next items."""
    seen: list[int] = []

    def grows(n: int) -> list[int]:
        seen.append(n)
        return seen

    job = submit("j", [{"key": str(n), "payload": n} for n in range(200)], pipeline="p")
    with working(handler("p", grows).work):
        ended(job.pk)
    lengths = sorted(len(item["outcomes"][0]["output"]) for item in items(job.pk, limit=1000))
    assert lengths == list(range(1, 201))
