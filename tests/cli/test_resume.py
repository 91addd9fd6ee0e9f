"""`joblot run --resume`: which options it takes, and which jobs."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from joblot.cli.app import app
from joblot.cli.plan import Plan, begin
from joblot.cli.resumption import resumed_plan, without_function
from joblot.cli.source import Source
from joblot.ledger.rows.job import read_job
from joblot.ledger.submit.submit import add_items, submit
from joblot.states import JobStatus
from tests.cli.conftest import Joblot

NOTHING = Source.of([], None, None, null=False, skip_bad=False)
PLAN = Plan("work:upper", 8, "/", 60.0, ("KeyError",))


@pytest.fixture
def job(ledger_db: str) -> int:
    """A job of a run that was interrupted."""
    made = begin(PLAN, name="night 12", policy={})
    add_items(made, ["a", "b"], seal=True)
    return made


def said(*args: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["run", *map(str, args)])
    return done.exit_code, done.stderr


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["--batch", "5"], "--batch 5 (it has 8)"),
        (["--batch", "0"], "--batch 0 (it has 8)"),
        (["--retry-on", "OSError"], "--retry-on OSError (it has KeyError)"),
        (["--no-retry-on", "OSError"], "--no-retry-on OSError (it has none)"),
        (["--exec", "cat {}"], "--exec cat {} (it has none)"),
        (["--batch", "5", "--retry-on", "OSError"], "--batch 5 (it has 8), --retry-on OSError"),
        (["--name", "day"], "is called 'night 12'; leave it out, or rename the job: joblot edit"),
        (["work:lower"], "work:lower: job N calls work:upper; leave this out"),
        (["/etc/hosts"], "has all its items (2) and takes no more"),
    ],
)
def test_what_contradicts_the_job_is_refused_and_named(
    job: int, given: list[str], problem: str
) -> None:
    code, text = said("--resume", job, *given)
    assert code in {2, 3}, text
    assert problem in " ".join(text.split()).replace(f"job {job}", "job N")


def test_what_the_job_has_may_be_said_again(job: int) -> None:
    """As by somebody who adds `--resume` to the command of the first run."""
    given = {"batch": 8, "retry_on": ["KeyError"], "no_retry_on": None, "name": "night 12"}
    assert without_function(job, ["work:upper"]) == []
    assert resumed_plan(job, NOTHING, given) == PLAN_AS_STORED


def test_how_its_worker_processes_run_may_be_changed(job: int) -> None:
    given = {"item_seconds_max": 5.0, "recycle_items": 9, "recycle_mb": 7, "keep_output": "all"}
    plan = resumed_plan(job, NOTHING, given)
    assert {name: getattr(plan, name) for name in given} == given
    assert resumed_plan(job, NOTHING, {}) == PLAN_AS_STORED


def test_a_policy_changes_a_job_that_has_ended_too(ledger_db: str) -> None:
    made = begin(PLAN, name="night 12", policy={})
    add_items(made, [], seal=True)
    assert read_job(made).status == JobStatus.SUCCESS
    code, text = said("--resume", made, "--policy", "failures_max=7", "--halt-after", "3")
    assert code == 0, text
    policy = read_job(made).policy
    assert (policy["failures_max"], policy["halt_failed_items"]) == (7, 3)


PLAN_AS_STORED: Any = Plan(**PLAN.as_config()["run"])


def test_a_job_of_another_kind_says_what_goes_on_with_it(ledger_db: str) -> None:
    made = submit("mapped", ["a"], pipeline="p", config={"map": {"function": "thumbs:shrink"}})
    code, text = said("--resume", made.pk)
    assert code == 3
    assert f"joblot.map(shrink, items, job={made.pk}), with the same items" in " ".join(
        text.split()
    )
    shown = CliRunner().invoke(app, ["why", str(made.pk)]).stdout
    assert f"joblot.map(shrink, items, job={made.pk})" in " ".join(shown.split())
    other = submit("other", ["a"], pipeline="p")
    code, text = said("--resume", other.pk)
    assert code == 3
    assert f"see joblot why {other.pk}" in " ".join(text.split())


def test_the_command_of_the_first_run_with_resume_goes_on(joblot: Joblot) -> None:
    """With another time limit, which is this invocation's."""
    joblot.write("names", "bad\nann\nbob\n")
    given = ["work:picky", "--lines", "names", "--workers", "1", "--name", "night"]
    joblot("run", *given, "--halt-after", "0", expect=1)
    rest = [one for one in given if one not in ("--lines", "names")]
    done = joblot(
        "run", "--resume", "1", *rest, "--item-seconds-max", "9", "--batch", "0", expect=1
    )
    assert "picky 3 of 3" in done.stderr
    assert joblot.json("audit", "1")["ok"]
