"""`joblot run` when something ends early: workers, the run itself, the submission."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from tests.cli.conftest import Joblot
from tests.polling import eventually
from tests.proc import alive


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest) -> Joblot:
    if request.param == "sqlite":
        joblot: Joblot = request.getfixturevalue("joblot")
        return joblot
    joblot = request.getfixturevalue("joblot_on_postgres")
    joblot("migrate")
    return joblot


def _names(joblot: Joblot) -> str:
    """Some items before the one that waits at the gate, and some after it."""
    names = [f"n{n}" for n in range(10)]
    return joblot.write("names", "\n".join([*names[:5], "gate", *names[5:]]) + "\n")


def _wait_for_line(running: subprocess.Popen[str], output: str) -> None:
    assert running.stderr is not None
    assert any(output in line for line in iter(running.stderr.readline, ""))


def test_a_worker_that_is_killed_costs_no_more_than_a_new_lease(joblot: Joblot):
    running = joblot.start("run", "work:gated", "--lines", _names(joblot), "--workers", "1")
    worker = joblot.at_gate()
    eventually(lambda: joblot.settled() == 5)  # reported, not only computed
    os.kill(worker, signal.SIGKILL)
    joblot.open_gate()
    _, output = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert joblot.lines("calls").count("gate") == 2
    assert {joblot.lines("calls").count(f"n{n}") for n in range(10)} == {1}


def test_after_a_power_cut_what_is_left_is_done_and_nothing_twice(either: Joblot):
    """The run and its worker are killed; resuming does not wait for the dead worker's lease."""
    joblot = either
    running = joblot.start("run", "work:gated", "--lines", _names(joblot), "--workers", "1")
    worker = joblot.at_gate()
    joblot.submitted()
    eventually(lambda: joblot.settled() == 5)
    running.kill()
    os.kill(worker, signal.SIGKILL)
    running.communicate()
    joblot.open_gate()
    done = joblot("run", "--resume", "1", "--workers", "1")
    assert "Succeeded, gated 11 of 11" in done.stderr
    calls = joblot.lines("calls")
    assert calls.count("gate") == 2
    assert {calls.count(f"n{n}") for n in range(10)} == {1}
    assert joblot.json("audit", "1")["ok"]


def test_workers_end_with_the_run_that_was_killed_and_report_what_they_began(joblot: Joblot):
    running = joblot.start("run", "work:gated", "--lines", _names(joblot), "--workers", "1")
    worker = joblot.at_gate()
    joblot.submitted()
    running.kill()
    running.wait(60)
    joblot.orders_ended()
    joblot.open_gate()
    eventually(lambda: not alive(worker))
    assert (joblot.settled(), joblot.in_flight()) == (6, 0)
    joblot("run", "--resume", "1", "--workers", "1")
    assert len(joblot.lines("calls")) == 11  # each once


def test_a_submission_that_was_cut_off_is_completed_with_the_same_items(joblot: Joblot):
    lines = [f"line {n}\n" for n in range(4_500)]
    running = joblot.start("run", "work:upper", "--lines", "-", "--workers", "1")
    assert running.stdin is not None
    running.stdin.writelines(lines[:4_100])
    running.stdin.flush()
    eventually(lambda: joblot.settled() >= 1)  # so the first chunk of 2,000 was added
    running.kill()
    running.wait(60)
    eventually(lambda: not joblot.in_flight())

    refused = joblot("run", "--resume", "1", expect=3)
    assert "was not submitted to its end" in refused.stderr
    assert "joblot run --resume 1 ITEMS" in refused.stderr
    joblot.write("all", "".join(lines))
    joblot("run", "--resume", "1", "--lines", "all", "--workers", "1")
    state = joblot.json("show", "1")
    assert (state["status"], state["total"]) == ("SUCCESS", 4_500)
    assert len(set(joblot.lines("calls"))) == 4_500
    assert joblot.json("audit", "1")["ok"]


def test_ctrl_c_finishes_what_was_begun_and_says_how_to_go_on(joblot: Joblot):
    running = joblot.start("run", "work:gated", "--lines", _names(joblot), "--workers", "1")
    joblot.at_gate()
    joblot.submitted()
    running.send_signal(signal.SIGINT)
    _wait_for_line(running, "finishing the items in progress")
    joblot.orders_ended()
    joblot.open_gate()
    _, output = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "continue with: joblot run --resume 1" in output
    (stage,) = joblot.json("show", "1")["stages"]
    assert (stage["succeeded"], stage["in_flight"], stage["ready"]) == (6, 0, 5)
    joblot("run", "--resume", "1", "--workers", "1")
    assert len(joblot.lines("calls")) == 11


def test_ctrl_c_twice_kills_and_gives_the_items_back(joblot: Joblot):
    running = joblot.start("run", "work:gated", "--lines", _names(joblot), "--workers", "1")
    worker = joblot.at_gate()
    joblot.submitted()
    running.send_signal(signal.SIGINT)
    _wait_for_line(running, "finishing the items in progress")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert not alive(worker)
    (stage,) = joblot.json("show", "1")["stages"]
    assert (stage["in_flight"], stage["lost"]) == (0, 0)
    assert stage["ready"] + stage["succeeded"] == 11


def test_workers_that_die_at_once_end_the_run_and_not_the_job(joblot: Joblot):
    (joblot.folder / "dies.py").write_text("import os\nos._exit(3)\n")
    done = joblot("run", "dies:anything", "work.py", "--workers", "1", expect=2)
    assert done.stderr.strip().endswith("importing its module ended the worker (exit code 3)")


def test_a_frozen_call_costs_its_worker_and_is_reported(joblot: Joblot):
    joblot.write("names", "gate\nother\n")
    options = ["--workers", "1", "--item-seconds-max", "2", "--policy", "expiries_max=1"]
    done = joblot("run", "work:gated", "--lines", "names", *options, expect=1)
    assert "frozen: no progress for too long" in done.stderr
    (stage,) = joblot.json("show", "1")["stages"]
    assert (stage["succeeded"], stage["lost"]) == (1, 1)


def test_a_run_writes_while_it_goes_on_and_is_complete_after_a_kill(joblot: Joblot):
    files = ["--out", "out.jsonl", "--joblog", "log.csv", "--workers", "1"]
    running = joblot.start("run", "work:gated", "--lines", _names(joblot), *files)
    worker = joblot.at_gate()
    joblot.submitted()
    eventually(lambda: len(joblot.lines("out.jsonl")) == 5)
    eventually(lambda: len(joblot.lines("log.csv")) == 6)
    running.kill()
    os.kill(worker, signal.SIGKILL)
    running.communicate()
    with (
        (joblot.folder / "out.jsonl").open("a") as half,
        (joblot.folder / "log.csv").open("a") as h,
    ):
        half.write('{"key": "n5", "ou')
        h.write("1,6,n")
    joblot.open_gate()
    done = joblot("run", "--resume", "1", *files)
    assert "outputs: out.jsonl, joblog: log.csv" in done.stderr
    assert [json.loads(line)["key"] for line in joblot.lines("out.jsonl")] == joblot.lines("names")
    logged = [line.split(",") for line in joblot.lines("log.csv")[1:]]
    assert sorted(line[2] for line in logged if line[4] == "succeeded") == sorted(
        joblot.lines("names")
    )
