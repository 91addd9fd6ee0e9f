"""Pause, resume, cancel and retry all jobs that match, on a database and on a server alike."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import pytest
from typer.testing import CliRunner, Result

from joblot.cli.app import app
from joblot.cli.ledger import Row
from joblot.cli.local_ledger import LocalLedger
from joblot.cli.many import Many, act_on_many
from joblot.ledger.job.lifecycle import pause
from joblot.ledger.read.history import events
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.worker import drain, keys
from tests.server.conftest import configure, local, served
from tests.server.raw import TOKEN
from tests.server.served import Served

__all__ = ["configure", "local", "served"]

Call = Callable[..., Result]


@pytest.fixture(params=["database", "server"])
def call(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Call:
    """A command on the test's database, or on a server that has the same one."""
    more: list[str] = []
    if request.param == "server":
        served: Served = request.getfixturevalue("served")
        monkeypatch.setenv("JOBLOT_TOKEN", TOKEN)
        more = ["--url", served.url]

    def call(*args: object, given: str | None = None) -> Result:
        return CliRunner().invoke(app, [*map(str, args), *more], input=given)

    return call


@pytest.fixture
def jobs(ledger_db: str) -> list[Job]:
    """Three of the project alps, one of andes; an item of the first one is in flight."""
    made = [submit(f"tile {n}", keys(3), pipeline=f"p{n}", project="alps") for n in range(3)]
    worker.lease("p0", limit=1)
    return [*made, submit("other", keys(3), pipeline="p3", project="andes")]


def last_line(done: Result) -> str:
    """Without what was typed."""
    return done.stdout.splitlines()[-1]


def statuses(jobs: list[Job]) -> list[str]:
    return [str(progress(job.pk)["status"]) for job in jobs]


def test_it_asks_with_the_number_and_does_it(call: Call, jobs: list[Job]) -> None:
    declined = call("pause", "--all", "--project", "alps", given="n\n")
    assert declined.exit_code == 1
    assert statuses(jobs) == ["STARTED", "PENDING", "PENDING", "PENDING"]
    done = call("pause", "--all", "--project", "alps", "--reason", "disk full", given="y\n")
    for said in (
        "Pause 3 jobs?",
        "All jobs that match: project alps.",
        "1 item in flight: their results still count.",
    ):
        assert said in done.stderr
    assert (done.exit_code, last_line(done)) == (0, "3 paused.")
    assert statuses(jobs) == ["PAUSED", "PAUSED", "PAUSED", "PENDING"]
    assert events(jobs[1].pk)[-1]["reason"] == "disk full"
    done = call("resume", "--all", "--status", "paused", "--name", "tile 1", "--yes")
    assert (done.stdout, done.stderr) == ("1 resumed.\n", "")
    assert statuses(jobs) == ["PAUSED", "STARTED", "PAUSED", "PENDING"]


class Overtaken(LocalLedger):
    """After the first question, somebody else pauses a job, before it is answered."""

    def __init__(self, job: Job) -> None:
        self._left = [job]

    def ask(self, act: str, given: Mapping[str, str]) -> Row:
        asked = super().ask(act, given)
        while self._left:
            pause(self._left.pop().pk)
        return asked


def test_it_asks_again_if_the_number_has_changed(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\n"))
    asked = Many({"project": "alps"}, expected=None, yes=False, reason="")
    act_on_many(Overtaken(jobs[2]), "pause", asked)
    said = capsys.readouterr()
    first, second = said.err.split("expected 3 jobs to pause, found 2; nothing was changed\n")
    assert "Pause 3 jobs?" in first
    assert "Pause 2 of 3 jobs?" in second
    assert said.out.endswith("2 paused, 1 was not running.\n")
    assert f"job {jobs[2].pk} tile 2: left: The job is paused" in second


def test_a_script_names_the_number_that_it_expects(call: Call, jobs: list[Job]) -> None:
    wrong = call("cancel", "--all", "--project", "alps", "--expected", 2)
    assert wrong.exit_code == 3
    assert "expected 2 jobs to cancel, found 3; nothing was changed" in wrong.stderr
    assert "REVOKED" not in statuses(jobs)
    done = call("cancel", "--all", "--project", "alps", "--expected", 3)
    assert (done.exit_code, done.stdout) == (0, "3 canceled.\n")
    assert statuses(jobs) == ["CANCELING", "REVOKED", "REVOKED", "PENDING"]


def test_a_cancel_of_many_items_takes_the_number_of_jobs(
    call: Call, jobs: list[Job], configure: Callable[..., None]
) -> None:
    configure(cancel_named_items=8)
    wrong = call("cancel", "--all", "--project", "alps", given="2\n")
    assert wrong.exit_code == 1
    assert "That is not the number of jobs; nothing was changed." in wrong.stderr
    assert "REVOKED" not in statuses(jobs)
    done = call("cancel", "--all", "--project", "alps", given="3\n")
    assert last_line(done) == "3 canceled."


def test_what_did_not_succeed_is_retried(call: Call, ledger_db: str) -> None:
    made = [submit(f"job {n}", keys(3), pipeline=f"p{n}") for n in range(2)]
    for n in range(2):
        worker.fail(worker.lease(f"p{n}", limit=n + 1))
        drain(f"p{n}")
    done = call("retry", "--all", "--since", "1h", given="y\n")
    assert "Retry 3 items of 2 jobs?" in done.stderr
    assert last_line(done) == "2 retried."
    assert [progress(job.pk)["run"] for job in made] == [2, 2]


def test_nothing_to_do_is_a_refusal(call: Call, jobs: list[Job]) -> None:
    done = call("resume", "--all", "--project", "andes", "--yes")
    assert done.exit_code == 3
    assert "The job is not paused: waiting." in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("pause",), "expected the number of a JOB, or --all"),
        (("pause", 1, "--all"), "expected the number of a JOB, or --all"),
        (("pause", 1, "--project", "alps"), "go with --all"),
        (("cancel", 1, "--yes"), "go with --all"),
        (("cancel", "--all", "--grace-seconds", 0), "--grace-seconds: expected a single JOB"),
        (("retry", "--all", "--hold"), "--hold: expected a single JOB"),
        (("pause", "--all", "--status", "busy", "--yes"), "status: expected one of CREATED"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    call: Call, jobs: list[Job], args: tuple[object, ...], said: str
) -> None:
    done = call(*args)
    assert done.exit_code == 2
    assert said in done.stderr
