"""The demo as a user runs it: real digits, real processes, real faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

JOBLOT = str(Path(sys.executable).with_name("joblot"))
IMAGES = 1_797
HALF = 899

pytestmark = pytest.mark.timeout(300)  # seconds; a demo takes 17, more where it shares the cores


def demo(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run it with --json, outside the repository; return its exit code and report."""
    command = [JOBLOT, "demo", "--json", *options]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def wrong(report: dict[str, Any]) -> list[str]:
    return [check["what"] for check in report["checks"] if not check["ok"]]


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_every_count_is_what_the_input_says(db, tmp_path):
    code, report = demo(tmp_path, "--db", db, "--seed", "5")
    assert (code, report["ok"], wrong(report)) == (0, True, [])
    classify, save = report["job"]["stages"]
    assert report["job"]["status"] == "COMPLETED_WITH_ERRORS"
    assert (classify["succeeded"], classify["failed"], classify["lost"]) == (IMAGES, 1, 0)
    assert (save["succeeded"], save["failed"], save["skipped"]) == (IMAGES, 0, 1)
    assert (report["rows"], report["finished_events"]) == (IMAGES, 1)
    assert report["audit"]["ok"]
    assert report["accuracy"]["of"] == HALF
    assert report["accuracy"]["right"] / HALF > 0.95
    assert report["receipts"]["counted"] == 2 * IMAGES + 1
    assert report["repeated"] >= 2 * ((IMAGES + 1) // 5) - 2 * 16  # minus what the killed held


def test_a_row_too_few_is_found(tmp_path):
    """In the user's own database, which keeps the job."""
    database = tmp_path / "kept.sqlite3"
    code, report = demo(tmp_path, "--db", str(database), "--lose-a-row")
    assert (code, wrong(report)) == (1, ["rows saved by the hook"])
    assert database.exists()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo in the middle of its work. Removes what a killed demo leaves behind. Not in
    `tmp_path`, whose path may be too long for its socket.
    """
    with (
        tempfile.TemporaryDirectory(prefix="demo-") as left_behind,
        subprocess.Popen(
            [JOBLOT, "demo", "--db", str(tmp_path / "running.sqlite3")],
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": left_behind},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running,
    ):
        assert running.stdout is not None
        next(line for line in running.stdout if "killed with SIGKILL" in line)
        yield running


def rest(running: subprocess.Popen[str]) -> tuple[str, str]:
    """The rest of its output. Its children hold the pipes too, so this waits for the last one."""
    return running.communicate(timeout=60)


def test_an_interrupt_ends_all_of_it_with_one_line(running):
    running.send_signal(signal.SIGINT)
    output, errors = rest(running)
    assert (running.returncode, errors) == (130, "")
    assert output.splitlines()[-1] == "interrupted; the workers have ended"


def test_the_workers_end_when_their_parent_is_killed(running):
    running.kill()
    _, errors = rest(running)
    assert "Traceback" not in errors


def test_what_is_wrong_with_the_database_is_one_line(tmp_path):
    command = [JOBLOT, "demo", "--db", "mysql://here"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "postgresql://" in ended.stderr


def test_the_migrations_make_what_the_models_say(tmp_path):
    code = (
        "from django.core.management import call_command\n"
        "from joblot import standalone\n"
        "standalone.setup(path='here.sqlite3', apps=['joblot.demo'])\n"
        "call_command('makemigrations', 'joblot_demo', check=True, dry_run=True)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
