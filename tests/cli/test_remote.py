"""Each command on a server answers, refuses and exits as it does on the database."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from joblot import operator_name
from joblot.cli.app import app
from joblot.errors import WorkerRevoked
from joblot.identity.tokens import issue, revoke
from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import release
from joblot.ledger.read import pulse
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.ledger.rows.log import log
from joblot.ledger.rows.workers import seen
from joblot.ledger.submit.submit import submit
from joblot.wire import failure, success
from tests.cli.conftest import JOBLOT
from tests.polling import eventually
from tests.server.conftest import configure, local, served
from tests.server.raw import TOKEN
from tests.server.served import Served

__all__ = ["configure", "local", "served"]

Remote = Callable[..., Result]


def call(*args: object, given: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], input=given)


@pytest.fixture
def remote(served: Served, monkeypatch: pytest.MonkeyPatch) -> Remote:
    monkeypatch.setenv("JOBLOT_TOKEN", TOKEN)

    def remote(*args: object, given: str | None = None) -> Result:
        words = 2 if args[0] == "webhook" else 1
        return call(*args[:words], "--url", served.url, *args[words:], given=given)

    return remote


def job() -> int:
    """Three items: one succeeded, one failed, one open."""
    made = submit("three", ["a", "b", "c"], pipeline="p")
    (lease,) = claim("p", 2, job=made.pk).leases
    report(
        lease.token,
        [success(0, {"n": [1]}, metrics={"bytes": 7}), failure(1, "ValueError", "bad b")],
    )
    log(made.pk, "half way")
    return int(made.pk)


def said(done: Result) -> tuple[int, str, str]:
    """What a command did, without what differs between two moments or two jobs."""
    out = re.sub(r'"(as_of|eta|p50|p90)": [^\n]*', "", done.stdout)
    numbers = re.compile(r"\bjob \d+|/\d+")
    return done.exit_code, numbers.sub("job N", out), numbers.sub("job N", done.stderr)


READS = [
    ["jobs"],
    ["jobs", "--status", "STARTED", "--json"],
    ["jobs", "--owner", "ana", "--project", "default"],
    ["show", "JOB"],
    ["show", "JOB", "--json"],
    ["why", "JOB"],
    ["items", "JOB", "--limit", "2"],
    ["items", "JOB", "--state", "failed", "--json"],
    ["items", "JOB", "--stage", "none"],
    ["items", "JOB", "--key", "a", "--key", "absent"],
    ["items", "JOB", "--key", "a", "--state", "failed"],
    ["results", "JOB"],
    ["results", "JOB", "--format", "csv", "--state", "succeeded"],
    ["logs", "JOB"],
    ["events", "JOB"],
    ["events", "JOB", "--json"],
    ["workers"],
    ["audit", "JOB"],
    ["audit", "--all"],
    ["audit", "JOB", "--repair"],
    ["show", "999999"],
    ["results", "999999"],
]


def test_ones_own_jobs_are_those_of_the_token_or_of_the_user(
    ledger_db: str, remote: Remote, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("JOBLOT_TOKEN", issue("ci", ["admin"])[0])
    made = call("submit", "by hand", "--pipeline", "p")
    there = remote("submit", "by token", "--pipeline", "p")
    assert (made.exit_code, there.exit_code) == (0, 0)
    for ask, name, other in ((call, "by hand", "by token"), (remote, "by token", "by hand")):
        shown = ask("jobs", "--owner", "me").stdout
        assert name in shown
        assert other not in shown
    assert "by hand" in remote("jobs", "--owner", operator_name.operator()).stdout


def test_what_is_read_is_the_same(ledger_db: str, remote: Remote):
    made = job()
    seen(0, "gpu-1", {"host": "gpu", "version": "1"})
    for command in READS:
        args = [made if one == "JOB" else one for one in command]
        here, there = call(*args), remote(*args)
        assert said(there) == said(here), command
        assert here.stdout or here.stderr


CHANGES: list[tuple[list[str], int]] = [
    (["pause", "JOB"], 0),
    (["priority", "JOB", "7"], 0),
    (["priority", "JOB", "9999999999"], 2),
    (["edit", "JOB", "--name", "new", "--policy", "halt_failed_items=3"], 0),
    (["edit", "JOB", "--policy", "halt_action=cancel", "--policy", "rate_items_max=null"], 0),
    (["edit", "JOB", "--policy", "rate_items_max=0"], 2),
    (["edit", "JOB"], 2),
    (["edit-pipeline", "p", "--policy", "rate_items_max=5", "--policy", "rate_seconds=1"], 0),
    (["edit-pipeline", "p", "--policy", "in_flight_items_max=0"], 2),
    (["edit-pipeline", "p"], 2),
    (["pipelines"], 0),
    (["edit-pipeline", "p", "--policy", "rate_items_max=null"], 0),
    (["pipelines"], 0),
    (["resume", "JOB"], 0),
    (["retry", "JOB"], 3),
    (["retry", "JOB", "--failed", "--stage", "p", "--key", "absent"], 3),
    (["cancel", "JOB", "--grace-seconds", "0"], 0),
    (["seal", "JOB"], 0),
    (["retry", "JOB", "--hold", "--config", '{"n": 1}'], 0),
    (["start", "JOB"], 0),
    (["start", "JOB"], 0),
    (["delete", "JOB", "--yes"], 0),
    (["delete", "JOB", "--yes"], 3),
]


def test_what_is_changed_is_the_same(ledger_db: str, remote: Remote):
    first, second = job(), job()
    for command, code in CHANGES:
        here = call(*(first if one == "JOB" else one for one in command))
        there = remote(*(second if one == "JOB" else one for one in command))
        assert here.exit_code == code, (command, here.output)
        assert said(there) == said(here), command


def test_a_lease_is_expired_and_old_jobs_are_pruned(ledger_db: str, remote: Remote):
    made = submit("one", ["a"], pipeline="p").pk
    (lease,) = claim("p").leases
    done = remote("expire", lease.token)
    assert "its items are in the queue again" in done.stdout, done.output
    assert "was not live any more" in remote("expire", lease.token).stdout
    assert remote("expire", "x").exit_code == call("expire", "x").exit_code == 3
    assert "0 jobs removed" in remote("prune", "--older-than", "0s", "--yes").stdout
    call("cancel", made, "--grace-seconds", 0)
    assert "0 jobs removed" in remote("prune", "--older-than", "1h", "--yes").stdout
    assert "1 job removed" in remote("prune", "--older-than", "0s", "--yes").stdout
    assert call("show", made).exit_code == 3


@pytest.fixture
def one_sweep(configure: Callable[..., None]) -> None:
    """A server that is started later sweeps once."""
    configure(sweep_seconds=3_600)


def test_a_worker_is_revoked_and_restored(ledger_db: str, one_sweep: None, remote: Remote):
    """The sweep releases what revoked workers hold, too, and might be the first to do so."""
    eventually(lambda: pulse.seconds_since_sweep() is not None)
    submit("held", ["a", "b", "c"], pipeline="p")
    for name, owner in (("here", 0), ("there", 0), ("twin", 1), ("twin", 2)):
        seen(owner, name)
    for name, run, held in (("here", call, 2), ("there", remote, 1)):
        claim("p", held, worker=name)
        done = run("revoke-worker", name, "--reason", "too hot")
        assert f"worker {name} was revoked; {held} item" in done.stdout, done.output
        with pytest.raises(WorkerRevoked):
            claim("p", worker=name)
        (row,) = (one for one in json.loads(run("workers", "--json").stdout) if one["revoked_at"])
        assert row["revoked_reason"] == "too hot"
        assert row["revoked_by"]
        assert run("restore-worker", name).stdout == f"worker {name} may work again\n"
        (lease,) = claim("p", held, worker=name).leases
        release(lease.token)
    for command in (
        ["revoke-worker", "twin"],
        ["revoke-worker", "twin", "--owner", "2"],
        ["restore-worker", "twin", "--owner", "2"],
        ["restore-worker", "twin", "--owner", "3"],
        ["revoke-worker", "nobody"],
    ):
        here, there = call(*command), remote(*command)
        assert said(there) == said(here), command
    assert call("revoke-worker", "twin").exit_code == 2
    assert "expected one of 1, 2" in call("revoke-worker", "twin").stderr
    assert call("revoke-worker", "nobody").exit_code == 3


def test_webhooks_are_kept_on_the_server(ledger_db: str, remote: Remote):
    """`url` is the receiver's, `--url` the server's."""
    receiver = "https://receiver.example/"
    made = json.loads(remote("webhook", "add", receiver, "--kind", "finished", "--json").stdout)
    assert made["secret"].startswith("whsec_")
    number = made["id"]
    for command in (["list"], ["deliveries", number], ["deliveries", 99], ["resend", 99]):
        here, there = call("webhook", *command), remote("webhook", *command)
        assert (there.exit_code, there.stdout) == (here.exit_code, here.stdout), command
    assert "ended at" in remote("webhook", "end", number).stdout
    assert json.loads(call("webhook", "list", "--json").stdout)[0]["ended_at"]


def _submitted(done: Result) -> int:
    assert done.exit_code == 0, done.output
    return int(done.stdout)


@pytest.mark.parametrize("count", [3, 7])
def test_items_are_streamed_to_a_server(
    ledger_db: str, remote: Remote, configure: Callable[..., None], count: int
):
    """More than the first request takes, and fewer; with the same key it is the same job."""
    configure(add_chunk_items=5)
    lines = "".join(f"k{n}\n" for n in range(count))
    asked = ("submit", "many", "--pipeline", "p", "--key", "k", "--lines", "-")
    made = _submitted(remote(*asked, given=lines))
    assert [item["key"] for item in items(made)] == lines.split()
    assert progress(made)["sealed"]
    assert _submitted(remote(*asked, given=lines)) == made == _submitted(call(*asked, given=lines))
    fewer = lines[: lines.rindex("k")]
    assert remote(*asked, given=fewer).exit_code == call(*asked, given=fewer).exit_code == 3
    more = lines + "another\n"
    assert remote(*asked, given=more).exit_code == call(*asked, given=more).exit_code == 3


def test_a_bad_item_among_the_first_leaves_no_job(ledger_db: str, remote: Remote):
    asked = ("submit", "bad", "--pipeline", "p", "--lines", "-")
    given = "a\nb\0c\n"
    here, there = call(*asked, given=given), remote(*asked, given=given)
    assert said(there) == said(here)
    assert here.exit_code == 2
    assert json.loads(call("jobs", "--json").stdout) == []


def test_what_a_token_may_not_do_is_refused(
    ledger_db: str, served: Served, monkeypatch: pytest.MonkeyPatch
):
    made = job()
    reader, token = issue("reader", ["read"])
    monkeypatch.setenv("JOBLOT_TOKEN", reader)
    assert call("show", made, "--url", served.url).exit_code == 0
    for command in (["pause", made], ["prune", "--older-than", "0s", "--yes"], ["expire", "x"]):
        done = call(*command, "--url", served.url)
        assert done.exit_code == 3
        assert "expected a token with the scope" in done.stderr
    revoke(token["id"])
    done = call("show", made, "--url", served.url)
    assert done.exit_code == 3
    assert "expected a token that is known" in done.stderr
    limited, _ = issue("one project", ["admin"], projects=["p"])
    monkeypatch.setenv("JOBLOT_TOKEN", limited)
    done = call("prune", "--older-than", "0s", "--yes", "--url", served.url)
    assert "expected a token for every project" in done.stderr


def test_a_server_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JOBLOT_TOKEN", TOKEN)
    done = call("show", 1, "--url", "http://127.0.0.1:9")
    assert done.exit_code == 4
    assert "the server at http://127.0.0.1:9 does not answer" in done.stderr
    assert call("show", 1, "--url", "nonsense").exit_code == 2


def test_tokens_are_made_where_the_database_is(monkeypatch: pytest.MonkeyPatch):
    done = call("token", "list", "--url", "http://127.0.0.1:9")
    assert done.exit_code == 2
    assert "tokens: not possible over HTTP; run it where the server's database is" in done.stderr


def test_events_are_followed(ledger_db: str, served: Served, tmp_path: Path):
    made = submit("one", ["a"], pipeline="p").pk
    command = [JOBLOT, "events", str(made), "--follow", "--json", "--url", served.url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=_environment(tmp_path)
    ) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["kind"] == "started"
        call("pause", made)
        assert json.loads(follower.stdout.readline())["kind"] == "paused"
        follower.terminate()


def test_a_server_is_asked_without_django(ledger_db: str, served: Served, tmp_path: Path):
    made = job()
    (tmp_path / "django").mkdir()
    (tmp_path / "django" / "__init__.py").write_text("raise ImportError('there is no Django')\n")
    environment = _environment(tmp_path) | {"PYTHONPATH": str(tmp_path), "JOBLOT_URL": served.url}
    done = subprocess.run(
        [sys.executable, JOBLOT, "show", str(made)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"job {made} three: Working" in done.stdout


def _environment(folder: Path) -> dict[str, str]:
    ours: dict[str, Any] = {
        k: v for k, v in os.environ.items() if not k.startswith(("JOBLOT_", "DJANGO_"))
    }
    return ours | {"JOBLOT_TOKEN": TOKEN, "XDG_DATA_HOME": str(folder)}
