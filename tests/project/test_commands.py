"""`manage.py joblot_worker` and `manage.py joblot_sweep`."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from joblot.clock import set_clock
from joblot.ledger.claim.claim import claim
from joblot.ledger.submit.submit import submit
from tests.polling import eventually
from tests.project.conftest import Project

EVENTS = "SELECT count(*) FROM joblot_event WHERE dispatched_at IS NULL"


def test_sigterm_finishes_the_call_and_gives_back_the_rest(project: Project) -> None:
    project.submit("slow", "other")
    worker = project.start("joblot_worker", "--noreload", "--sweep")
    project.has("at-slow")
    eventually(lambda: project.ask(EVENTS) == [(0,)])  # it sweeps, too
    worker.send_signal(signal.SIGTERM)
    (project.folder / "open-slow").touch()
    project.ended(worker)
    assert project.output() == "joblot_worker: serving shrink\n"
    assert project.ask("SELECT number FROM joblot_outcome") == [(0,)]
    assert project.ask("SELECT next, last FROM joblot_range") == [(1, 1)]
    assert project.ask("SELECT open FROM joblot_lease WHERE state = 0") == []


def run(*args: str) -> str:
    output = StringIO()
    call_command(*args, stdout=output)
    return output.getvalue()


def test_a_sweep_does_what_is_due_once(ledger_db: str) -> None:
    submit("three", ["a", "b", "c"], pipeline="p")
    claim("p", 2)
    with set_clock(datetime.now(UTC) + timedelta(days=1)):
        assert json.loads(run("joblot_sweep", "--json"))["leases_expired"] == 1
        assert "leases expired: 0" in run("joblot_sweep")


def test_a_command_that_runs_forever_has_no_json(ledger_db: str) -> None:
    with pytest.raises(CommandError, match="leave out --forever"):
        call_command("joblot_sweep", "--forever", "--json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 0}, "expected at least 1, got 0"),
        ({"pipeline": ["shrunk"]}, "--pipeline shrunk: the project serves"),
    ],
)
def test_a_mistake_is_an_error_of_the_command(
    declared: None, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    from joblot.worker import work

    work("shrink")(lambda payload: payload)
    with pytest.raises(CommandError, match=message) as found:
        call_command("joblot_worker", **options)
    assert found.value.returncode == 2


def test_processes_of_a_project_without_a_settings_module_are_refused(
    declared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    with pytest.raises(CommandError, match="--processes: expected DJANGO_SETTINGS_MODULE"):
        call_command("joblot_worker", processes=2)
