"""`joblot audit`, for one job and for all, and with `--repair`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connections
from typer.testing import CliRunner, Result

from joblot.cli.app import app
from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.wire import success


def call(*args: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, args)])


@pytest.fixture
def exact(ledger_db: str) -> int:
    return int(submit("exact", ["a"], pipeline="p").pk)


@pytest.fixture
def spoiled(ledger_db: str) -> int:
    """A job whose tallies show 5 instead of 2."""
    job = submit("spoiled", ["a", "b", "c"], pipeline="q")
    (lease,) = claim("q", 2).leases
    report(lease.token, [success(item.id) for item in lease.items])
    with connections[ledger_db].cursor() as cursor:
        cursor.execute("UPDATE joblot_tally SET succeeded = 5 WHERE job_id = %s", [job.pk])
    return int(job.pk)


def answer(done: Result) -> Any:
    return json.loads(done.stdout)


def test_an_exact_job_ends_with_0_and_a_spoiled_one_with_1(exact: int, spoiled: int):
    assert answer(call(exact, "--json"))["count_drift"] == 0
    assert call(exact).exit_code == 0
    done = call(spoiled, "--json")
    assert (done.exit_code, answer(done)["count_drift"]) == (1, 3)
    assert "BROKEN  tallies of q equal the recount" in call(spoiled).stdout


def test_all_jobs_are_audited_and_the_drift_is_the_sum(exact: int, spoiled: int):
    done = call("--all", "--json")
    found = answer(done)
    assert (done.exit_code, found["ok"], found["count_drift"]) == (1, False, 3)
    assert [(one["job"], one["ok"]) for one in found["jobs"]] == [(exact, True), (spoiled, False)]
    assert [len(one["broken"]) for one in found["jobs"]] == [0, 2]
    shown = call("--all").stdout
    assert "2 jobs, 1 with a fault, count_drift 3" in shown
    assert f"job {spoiled}:" in shown
    assert f"job {exact}:" not in shown


def test_the_drift_of_all_jobs_is_a_figure_for_prometheus(exact: int, spoiled: int):
    done = call("--all", "--metrics")
    found = done.stdout.splitlines()
    assert [line for line in found if not line.startswith("#")] == [
        "joblot_count_drift 3.0",
        "joblot_audited_jobs 2.0",
        "joblot_broken_jobs 1.0",
    ]
    assert "# TYPE joblot_count_drift gauge" in found
    assert done.exit_code == 1


def test_nothing_is_mended_unless_it_is_asked_for(spoiled: int):
    call(spoiled)
    call("--all")
    assert answer(call(spoiled, "--json"))["count_drift"] == 3


@pytest.mark.parametrize("which", ["one", "all"])
def test_a_repair_says_what_it_changed(exact: int, spoiled: int, which: str):
    done = call(spoiled if which == "one" else "--all", "--repair")
    assert done.exit_code == 0
    assert "FIXED   tallies of q: {'succeeded': 5" in done.stdout
    again = call("--all", "--repair", "--json")
    assert answer(again)["count_drift"] == 0
    assert [one.get("changes", []) for one in answer(again)["jobs"]] == [[], []]


@pytest.mark.parametrize("args", [[], [1, "--all"]])
def test_either_a_job_or_all_is_asked_for(ledger_db: str, args: list[Any]):
    done = call(*args)
    assert done.exit_code == 2
    assert "expected either a JOB or --all" in done.stderr


@pytest.mark.parametrize("args", [[1, "--metrics"], ["--all", "--metrics", "--json"]])
def test_figures_are_of_all_jobs_and_no_json(ledger_db: str, args: list[Any]):
    done = call(*args)
    assert done.exit_code == 2
    assert "--metrics requires --all, and excludes --json" in done.stderr
