"""`joblot run`: its input, its output, and how it ends."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Joblot


def test_lines_are_worked_once_each_and_their_outputs_written(joblot: Joblot):
    joblot.write("names", "ann\nbob\n\ncleo\nann\n")
    done = joblot("run", "work:upper", "--lines", "names", "--workers", "1", "--out", "out.jsonl")
    assert "Succeeded" in done.stderr
    assert done.stdout == ""
    outputs = [json.loads(line) for line in joblot.lines("out.jsonl")]
    assert [(one["key"], one["output"]) for one in outputs] == [
        ("ann", "ANN"),
        ("bob", "BOB"),
        ("cleo", "CLEO"),
    ]
    assert sorted(joblot.lines("calls")) == ["ann", "bob", "cleo"]
    assert joblot.json("audit", "1")["ok"]


def test_json_lines_from_stdin_in_batches_on_postgres(joblot_on_postgres: Joblot):
    joblot = joblot_on_postgres
    refused = joblot("submit", "j", "--pipeline", "p", given="", expect=4)
    assert refused.stderr.strip().endswith("run `joblot migrate`")
    joblot("migrate")
    given = "".join(f"{n}\n" for n in range(50)) + '{"key": "own", "payload": 100}\n'
    done = joblot(
        "run",
        "work:double",
        "--batch",
        "8",
        "--workers",
        "1",
        "--jsonl",
        "-",
        "--out",
        "-",
        given=given,
    )
    outputs = {one["key"]: one["output"] for one in map(json.loads, done.stdout.splitlines())}
    assert outputs == {str(n + 1): 2 * n for n in range(50)} | {"own": 200}
    assert joblot.json("doctor")["ok"]


def test_the_job_of_a_run_is_owned_by_its_user(joblot: Joblot):
    joblot.write("names", "ann\n")
    joblot("run", "work:upper", "--lines", "names", "--workers", "1")
    (job,) = joblot.json("jobs", "--owner", "me")
    assert job["name"] == "work:upper"


def test_failed_items_are_reported_with_their_causes(joblot: Joblot):
    joblot.write("names", "good\nbusy\n" + "".join(f"bad{n}\n" for n in range(12)))
    policy = ["--policy", "retry_backoff_seconds=0.01", "--policy", "failure_threshold=1"]
    done = joblot("run", "work:picky", "--lines", "names", "--workers", "1", *policy, expect=1)
    assert "Done, not all well" in done.stderr
    assert "12 items (100 %): ValueError: bad0 is bad" in done.stderr
    (group,) = joblot.json("causes", "1")["causes"]
    rest = f"and 7 more: joblot items 1 --cause {group['cause']}"
    assert f"bad0, bad1, bad2, bad3, bad4 {rest}" in done.stderr
    assert done.stderr.count("ValueError:") == 2  # in the message and the traceback
    assert "in picky" in done.stderr
    assert "joblot/worker" not in group["traceback"]
    assert joblot.lines("calls").count("busy") == 2
    assert joblot.lines("calls").count("bad3") == 1
    assert len(joblot.json("items", "1", "--state", "failed")) == 12


def test_an_item_that_kills_its_worker_every_time_is_lost_alone(joblot: Joblot):
    joblot.write("names", "".join(f"n{n}\n" for n in range(20)) + "poison\nlast\n")
    done = joblot("run", "work:poison", "--lines", "names", "--workers", "2", expect=1)
    assert "poison: killed its worker 3 times (signal 9)" in done.stderr
    (stage,) = joblot.json("show", "1")["stages"]
    assert (stage["succeeded"], stage["lost"], stage["failed"]) == (21, 1, 0)
    assert 4 <= joblot.lines("calls").count("poison") <= 5
    assert joblot.json("audit", "1")["ok"]


@pytest.mark.parametrize(
    ("name", "said"), [("work:nothing", "work has no nothing"), ("gone:f", "no module named gone")]
)
def test_an_unknown_function_is_one_line_and_leaves_no_job(joblot: Joblot, name: str, said: str):
    done = joblot("run", name, "work.py", "--workers", "1", expect=2)
    (line,) = done.stderr.splitlines()  # so it does not report a new job
    assert line.startswith("joblot: function: ")
    assert said in line


def test_a_call_that_closes_standard_output_fails_no_other(joblot: Joblot):
    joblot.write(
        "closes.py",
        "import sys\n\n\ndef f(key):\n    print('before', key)\n    sys.stdout.close()\n"
        "    sys.stdout.buffer.close()\n    sys.stderr.close()\n    print('after', key)\n"
        "    return key\n",
    )
    names = joblot.write("names", "a\nb\nc\n")
    done = joblot("run", "closes:f", "--lines", names, "--workers", "1")
    for key in "abc":
        assert f"before {key}\nafter {key}\n" in done.stderr


def test_a_run_that_is_refused_an_item_in_the_middle_says_how_to_go_on(joblot: Joblot):
    given = "".join(f'{{"key": "k{n}"}}\n' for n in range(2_000)) + '{"key": "k0", "payload": 1}\n'
    done = joblot("run", "work:upper", "--jsonl", joblot.write("items", given), expect=3)
    assert "job 1 stays open with 2,000 items: correct what was refused" in done.stderr
    assert "joblot run --resume 1 --jsonl items" in done.stderr
    joblot.write("items", given.replace('"k0", "payload": 1', '"good"'))
    again = joblot("run", "--resume", "1", "--jsonl", "items")
    assert "Succeeded, upper 2,001 of 2,001" in again.stderr


def test_a_run_halts_after_a_number_of_failures(joblot: Joblot):
    """It is paused, goes on after its code was mended, and tries again what failed before."""
    joblot.write("names", "".join(f"bad{n}\n" for n in range(2000)))
    given = ["--lines", "names", "--workers", "1", "--halt-after", "2"]
    done = joblot("run", "work:picky", *given, expect=1)
    assert "halted: the job was paused" in done.stderr
    assert "(halt_failed_items 2)" in done.stderr
    assert "continue with: joblot run --resume 1" in done.stderr
    (stage,) = joblot.json("show", "1")["stages"]
    assert 2 < stage["failed"] < 2000
    source = (joblot.folder / "work.py").read_text()
    joblot.write("work.py", source.replace('raise ValueError(f"{key} is bad")', "return key"))
    again = joblot("run", "--resume", "1", "--retry-failed", "--workers", "1")
    assert "Succeeded" in again.stderr
    assert joblot.json("show", "1")["run"] == 1
    refused = joblot("run", "work:picky", *given[:-1], "2 of 5", expect=2)
    assert "expected a number of items like 10, or a share like 5%" in refused.stderr


def test_repeating_what_failed_goes_on_although_nothing_failed_since(joblot: Joblot):
    """As when a run that had begun to repeat it was interrupted, and is started again."""
    joblot.write("names", "bad\n" + "".join(f"good{n}\n" for n in range(40)))
    given = ["--lines", "names", "--workers", "1", "--halt-after", "1", "--policy"]
    joblot("run", "work:picky", *given, "halt_failed_items=0", expect=1)
    source = (joblot.folder / "work.py").read_text()
    joblot.write("work.py", source.replace('raise ValueError(f"{key} is bad")', "return key"))
    joblot("retry", "1", "--failed")
    assert joblot.json("show", "1")["stages"][0]["failed"] == 0
    again = joblot("run", "--resume", "1", "--retry-failed", "--workers", "1")
    assert "Succeeded, picky 41 of 41" in again.stderr
