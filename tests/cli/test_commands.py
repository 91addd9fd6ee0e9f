"""The commands in this process: their output, refusals and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import django.db
import psycopg
import pytest
from typer.testing import CliRunner, Result

from joblot import config
from joblot.cli.app import app
from joblot.fingerprint import cause_of
from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import submit
from joblot.models import Event
from joblot.wire import failure, success
from tests.failing_inserts import (
    DISK_FULL,
    KILLED,
    NO_SUCH_CHARACTER,
    SECRET,
    failing,
    raising,
)


def call(*args: object, given: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], input=given)


def read(*args: object) -> Any:
    done = call(*args, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def job(ledger_db: str) -> int:
    """A job of three items: one succeeded, one failed, one open."""
    made = submit("three", ["a", "b", "c"], pipeline="p")
    (lease,) = claim("p", 2).leases
    first, second = lease.items
    report(lease.token, [success(first.id, 1), failure(second.id, "ValueError", "bad b")])
    log(made.pk, "half way")
    return int(made.pk)


def test_every_reading_command_answers_as_the_ledger_does(job: int):
    assert read("show", job)["status"] == "STARTED"
    assert [one["id"] for one in read("jobs")] == [job]
    assert [one["key"] for one in read("items", job, "--state", "failed")] == ["b"]
    assert [line["message"] for line in read("logs", job)][-1] == "half way"
    assert [one["code"] for one in read("why", job)["reasons"]] == ["ready"]
    assert read("audit", job)["ok"]
    assert {one["check"] for one in read("doctor")["checks"]} >= {"database", "guards", "clock"}


def test_failures_are_said_once_per_cause(ledger_db: str):
    made = submit("many", [f"k{n}" for n in range(30)], pipeline="p").pk
    (lease,) = claim("p", 30, worker="gpu-7").leases
    kinds = {0: ("OSError", "no file '/a/{0}'"), 1: ("OSError", "disk {0} is full")}
    given = [(n, *kinds.get(n % 5, kinds[0])) for n in range(30)]
    report(
        lease.token,
        [failure(n, kind, text.format(n), traceback="there") for n, kind, text in given],
    )
    disk = cause_of("OSError", "disk 1 is full")
    said = call("causes", made).stdout
    assert "24 items (80 %): OSError: no file '/a/0'" in said
    assert "6 items (20 %): OSError: disk 1 is full" in said
    assert f"k1, k6, k11, k16, k21 and 1 more: joblot items {made} --cause {disk}" in said
    assert f"cause {disk}, all on gpu-7, " in said
    assert "there" not in said
    assert call("causes", made, "--traceback").stdout.count("there") == 2
    for command in ("show", "why"):
        assert "6 items (20 %): OSError: disk 1 is full" in call(command, made).stdout
    assert "24 items failed for other causes" not in call("causes", made).stderr
    assert "6 items failed for other causes" in call("causes", made, "--limit", 1).stderr
    assert [one["id"] for one in read("items", made, "--cause", disk)] == [1, 6, 11, 16, 21, 26]
    assert read("causes", made)["total"] == 30


def test_the_same_message_is_not_repeated_in_a_list(ledger_db: str):
    made = submit("many", ["a", "b", "c"], pipeline="p").pk
    (lease,) = claim("p").leases
    report(lease.token, [failure(n, "E", "disk 1" if n else "disk 0") for n in range(3)])
    rows = [line.split("\t")[3] for line in call("items", made).stdout.splitlines()]
    assert rows == ["cause", "E: disk 0", "E: disk 1", "as item 1"]


def test_one_cause_is_retried(ledger_db: str):
    made = submit("two causes", ["a", "b", "c"], pipeline="p").pk
    (lease,) = claim("p").leases
    report(lease.token, [failure(n, "E" if n else "F", "x") for n in range(3)])
    cause = cause_of("E", "x")
    changed = call("retry", made, "--cause", cause, "--expected", 3)
    assert changed.exit_code == 3
    assert "expected to retry 3 items, but it would be 2 now" in changed.stderr
    assert "(1 failed)" in call("retry", made, "--cause", cause, "--expected", 2).stdout


def test_no_line_is_broken_where_there_is_no_terminal(job: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "20")
    first, *_ = call("show", job).stdout.splitlines()
    assert first == f"job {job} three: Working, 66.66 % of 3 items"


def test_every_reading_command_says_it_for_people(job: int):
    assert f"job {job} three: Working, 66.66 % of 3 items" in call("show", job).stdout
    assert "three\tWorking\t66.66 %\t3" in call("jobs").stdout
    assert "b\tfailed\tValueError: bad b" in call("items", job).stdout
    assert "half way" in call("logs", job).stdout
    assert "1 item is ready and not claimed yet (ready)" in call("why", job).stdout
    assert "ok      items equal the total" in call("audit", job).stdout
    assert "ok  guards: in place" in call("doctor").stdout


def test_show_prints_the_sums_of_the_metrics(ledger_db: str):
    made = submit("sums", ["a", "b"], pipeline="p")
    (lease,) = claim("p").leases
    report(lease.token, [success(0, metrics={"bytes": 2**40}), success(1, metrics={"bytes": 1})])
    assert "p bytes: 1,099,511,627,777" in call("show", made.pk).stdout


def test_items_are_read_page_by_page(job: int):
    first = call("items", job, "--limit", 2)
    assert "the next page: --after 1" in first.stderr
    assert [one["key"] for one in read("items", job, "--after", 1)] == ["c"]


def test_a_job_is_paused_resumed_cancelled_retried_and_deleted(job: int):
    for command, status in [
        (("pause", job), "Paused"),
        (("resume", job), "Working"),
        (("cancel", job, "--grace-seconds", 0), "Canceled"),
        (("retry", job, "--hold"), "Not started"),
    ]:
        done = call(*command)
        assert done.exit_code == 0, done.stderr
        assert f"job {job}: {status}" in done.stdout
    assert call("delete", job, given="n\n").exit_code == 1
    assert read("show", job)["run"] == 2
    assert call("delete", job, "--yes").exit_code == 0
    assert call("show", job).exit_code == 3


def test_a_sealed_job_takes_no_more_items_and_finishes(ledger_db: str):
    number = int(
        call("submit", "open", "--lines", "-", "--pipeline", "p", "--open", given="a\n").stdout
    )
    (lease,) = claim("p").leases
    report(lease.token, [success(lease.items[0].id)])
    assert read("show", number)["status"] == "STARTED"
    done = call("seal", number)
    assert f"job {number}: Succeeded" in done.stdout
    assert call("seal", number).exit_code == 0
    assert call("seal", 999_999_999).exit_code == 3


RUN = {"run": {"function": "work:f", "batch": 0, "cwd": ".", "item_seconds_max": 60}}


def test_why_says_how_a_run_is_gone_on_with(ledger_db: str):
    job = submit("run", ["a", "b"], pipeline="run work:f", config=RUN)
    assert f"continue with: joblot run --resume {job.pk}\n" in call("why", job.pk).stdout
    (lease,) = claim("run work:f").leases
    report(lease.token, [success(0), success(1)])
    assert "continue with" not in call("why", job.pk).stdout


def test_why_and_seal_say_what_a_run_that_was_cut_while_submitting_lacks(ledger_db: str):
    job = submit("run", ["a", "b"], pipeline="run work:f", config=RUN, seal=False)
    why = call("why", job.pk).stdout
    assert f"joblot run --resume {job.pk} ITEMS… (give the same items again" in why
    sealed = call("seal", job.pk)
    assert sealed.exit_code == 0
    assert "may not have all the items of its `joblot run`" in sealed.stderr
    assert "it will end with the 2 it has" in sealed.stderr
    assert call("seal", job.pk).stderr == ""


def test_seal_warns_of_nothing_where_items_were_to_follow(ledger_db: str):
    job = submit("open", ["a"], pipeline="p", seal=False)
    assert "run --resume" not in call("why", job.pk).stdout.replace("`joblot run --resume`", "")
    assert call("seal", job.pk).stderr == ""


def test_a_submission_that_is_refused_in_the_middle_names_its_job(ledger_db: str):
    config.configure({"add_chunk_items": 1})
    try:
        command = ["submit", "j", "--pipeline", "p", "--jsonl", "-"]
        done = call(*command, given='{"key": "a"}\n{"key": ""}\n')
        assert done.exit_code == 2
        (line,) = done.stderr.splitlines()
        (number,) = (one["id"] for one in read("jobs"))
        assert f"job {number} stays open with 1 item: delete it and submit again" in line
    finally:
        config.configure({})


def test_a_run_that_has_all_its_items_says_so_when_it_is_given_some(ledger_db: str):
    plan = {"function": "work:f", "batch": 0, "cwd": ".", "item_seconds_max": 60}
    job = submit("run", ["a", "b"], pipeline="run work:f", config={"run": plan})
    done = call("run", "--resume", job.pk, "--lines", "-", given="a\nb\n")
    assert done.exit_code == 3
    assert f"job {job.pk} has all its items (2) and takes no more" in done.stderr


def test_what_talks_to_no_server_loads_no_client(tmp_path: Path):
    """Loading it would delay each process of a run."""
    code = (
        "import sys, joblot.cli.app, joblot.cli.worker_process\n"
        "from joblot.standalone import setup\n"
        "setup(path='own.sqlite3')\n"
        "sys.exit('httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == 0


def test_watch_ends_with_the_job_and_as_it_did(job: int):
    (lease,) = claim("p").leases
    report(lease.token, [success(lease.items[0].id)])
    done = call("watch", job, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "COMPLETED_WITH_ERRORS"
    assert call("watch", job).exit_code == 1


def test_submit_makes_a_job_for_workers_elsewhere(ledger_db: str):
    stages = ["--stage", "find=finder", "--stage", "keep=keeper"]
    done = call("submit", "two", "--lines", "-", "--key", "k", *stages, given="a\nb\n")
    number = int(done.stdout)
    state = read("show", number)
    assert [stage["pipeline"] for stage in state["stages"]] == ["finder", "keeper"]
    assert (state["total"], state["sealed"], state["status"]) == (2, True, "PENDING")
    again = call("submit", "two", "--lines", "-", "--key", "k", *stages, given="a\nb\n")
    assert int(again.stdout) == number


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["run", "work:f", "missing.txt"], 2, "there is no file missing.txt"),
        (["run", "work:f", "*.nothing"], 2, "no file matches *.nothing"),
        (["run", "work:f", "--lines", "missing"], 2, "there is no file missing"),
        (["run", "work:f"], 2, "expected files, --lines FILE or --jsonl FILE"),
        (["run"], 2, "expected FUNC"),
        (["run", "work:f", ".", "--lines", "x"], 2, "got several"),
        (["run", "work:f", __file__, "--policy", "x"], 2, "expected NAME=VALUE"),
        (["run", "work:f", __file__, "--out", "no/folder/out"], 2, "can't be written"),
        (["run", "--resume", "999999999"], 3, "does not exist"),
        (["show", "999999999"], 3, "does not exist"),
        (["show", "99999999999999999999999"], 3, "does not exist"),
        (["audit", "99999999999999999999999"], 3, "does not exist"),
        (["run", "--resume", "99999999999999999999999"], 3, "does not exist"),
        (["submit", "x", "--pipeline", "p", "--config", "{"], 2, "--config: expected JSON"),
        (["submit", "x", "--stage", "p"], 2, "expected NAME=PIPELINE"),
        (["submit", "x"], 2, 'expected either pipeline="…" or stages'),
        (["submit", "", "--pipeline", "p"], 2, "name: expected text"),
        (["show", "1", "--db", "file"], 2, "DJANGO_SETTINGS_MODULE names a project"),
    ],
)
def test_what_cannot_be_right_is_one_line_with_its_exit_code(
    sqlite_only: str, args: list[str], code: int, said: str
):
    done = call(*args)
    assert done.exit_code == code
    (line,) = done.stderr.splitlines()
    assert line.startswith("joblot: ")
    assert said in line


def test_a_payload_over_the_limit_is_one_line_and_what_came_before_it_stays(sqlite_only: str):
    config.configure({"add_chunk_items": 1})
    try:
        given = '{"key": "small", "payload": 1}\n' + json.dumps(
            {"key": "x", "payload": "x" * 300_000}
        )
        command = ["submit", "j", "--pipeline", "p", "--jsonl", "-", "--key", "k"]
        done = call(*command, given=given)
        assert done.exit_code == 2
        (line,) = done.stderr.splitlines()
        assert "expected at most 262144 bytes" in line
        again = call(*command, given=given.splitlines()[0])
        assert read("show", again.stdout.strip())["total"] == 1
    finally:
        config.configure({})


def test_a_key_with_two_payloads_is_one_line(sqlite_only: str):
    given = '{"key": "a", "payload": 1}\n{"key": "a", "payload": 2}\n'
    done = call("submit", "j", "--pipeline", "p", "--jsonl", "-", given=given)
    assert done.exit_code == 3
    (line,) = done.stderr.splitlines()
    assert "given before in this job with another payload" in line


def test_the_same_key_with_other_content_is_one_line(ledger_db: str):
    command = ["submit", "j", "--pipeline", "p", "--lines", "-", "--key", "k"]
    first = call(*command, given="a\nb\n")
    assert call(*command, given="b\na\n").stdout == first.stdout
    for more, given in (
        ([], "a\n"),
        (["--priority", "0"], "a\nb\n"),
        (["--config", "1"], "a\nb\n"),
    ):
        done = call(*command, *more, given=given)
        assert done.exit_code == 3
        (line,) = done.stderr.splitlines()
        assert line.startswith("joblot: ")


@pytest.mark.parametrize(
    ("action", "code"), [(raising(DISK_FULL), 4), (KILLED, 4), (raising(NO_SUCH_CHARACTER), 2)]
)
def test_a_submission_that_the_database_fails_is_one_line_without_payloads(
    postgres_only: str, action: str, code: int
):
    given = json.dumps({"key": "a", "payload": SECRET})
    with failing(action):
        done = call("submit", "j", "--pipeline", "p", "--jsonl", "-", given=given)
    assert done.exit_code == code
    (line,) = done.stderr.splitlines()
    assert line.startswith("joblot: ")
    assert SECRET not in done.output


@pytest.mark.parametrize(
    "error", [django.db.InterfaceError, django.db.IntegrityError, psycopg.Error]
)
def test_any_error_of_the_database_is_one_line(
    sqlite_only: str, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    def fail(execute: Any, *statement: Any) -> Any:
        raise error(f"it failed\nDETAIL: {SECRET}")

    with django.db.connections[sqlite_only].execute_wrapper(fail):
        done = call("jobs")
    assert done.exit_code == 4
    (line,) = done.stderr.splitlines()
    assert "it failed" in line
    assert SECRET not in line


def test_only_a_job_of_run_can_be_resumed_by_run(job: int):
    done = call("run", "--resume", job)
    assert done.exit_code == 3
    assert "was not made by `joblot run`" in done.stderr


def test_usage_errors_are_printed_by_the_parser():
    assert call("show", "seven").exit_code == 2
    assert call("nothing").exit_code == 2
    assert "Exit codes" in call("--help").stdout
    assert call("--version").stdout.startswith("joblot ")


def test_a_command_names_the_user_and_the_reason(ledger_db: str, job: int, monkeypatch: Any):
    monkeypatch.setattr("getpass.getuser", lambda: "ana")
    for command in ("pause", "resume", "cancel", "retry"):
        done = call(command, job, "--reason", f"to {command}")
        assert done.exit_code == 0, done.stderr
    opened = submit("open", ["a"], pipeline="p", seal=False).pk
    assert call("seal", opened, "--reason", "that is all").exit_code == 0
    assert call("delete", opened, "--yes", "--reason", "not needed").exit_code == 0
    authors = {(one.kind, one.actor, one.reason) for one in Event.objects.exclude(reason="")}
    assert authors == {
        ("paused", "ana", "to pause"),
        ("resumed", "ana", "to resume"),
        ("canceling", "ana", "to cancel"),
        ("finished", "ana", "to cancel"),
        ("retried", "ana", "to retry"),
        ("started", "ana", "to retry"),
        ("sealed", "ana", "that is all"),
        ("canceling", "ana", "not needed"),
        ("finished", "ana", "not needed"),
        ("deleted", "ana", "not needed"),
    }


@pytest.mark.parametrize("error", [KeyError("no user 1234"), OSError("no login name")])
def test_a_user_without_a_name_can_pause_a_job(
    ledger_db: str, job: int, monkeypatch: Any, error: Exception
):
    def unnamed() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", unnamed)
    assert call("pause", job).exit_code == 0
    assert Event.objects.get(kind="paused").actor == ""
