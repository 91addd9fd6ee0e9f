"""The command: its output, its exit codes, and the comments that suppress a rule."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from joblot.cli.app import app
from joblot.lint.check import check
from joblot.lint.rules import RULES

MODEL = """from django.db import models

class Job(models.Model):
    status = models.CharField(max_length=20)
    progress = models.JSONField()
"""
FAULT = """
def finish(pk):
    job = Job.objects.get(pk=pk)
    job.status = "SUCCESS"{}
    job.save(update_fields=["status"]){}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["lint", *arguments])


def written(folder: Path, text: str, name: str = "models.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def fault(folder: Path, changed: str = "", saved: str = "") -> Path:
    return written(folder, MODEL + FAULT.format(changed, saved))


def test_a_fault_is_printed_with_its_place_its_reason_and_its_fix(tmp_path: Path) -> None:
    path = fault(tmp_path)
    done = run(str(tmp_path))
    assert done.exit_code == 1
    assert f"{path}:9:5: JL102 status of Job is set" in done.stdout
    assert RULES["JL102"].why in done.stdout
    assert RULES["JL102"].fix in done.stdout
    assert "1 file checked, 1 finding\n" in done.stdout


def test_the_same_for_programs(tmp_path: Path) -> None:
    path = fault(tmp_path)
    done = run(str(tmp_path), "--json")
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert (answer["ok"], answer["files"], answer["suppressed"]) == (False, 1, 0)
    (one,) = answer["findings"]
    assert (one["code"], one["rule"]) == ("JL102", "unguarded-status")
    assert (one["path"], one["line"], one["column"]) == (str(path), 9, 5)
    assert one["why"] == RULES["JL102"].why
    assert one["fix"] == RULES["JL102"].fix


def test_code_without_a_fault_is_done(tmp_path: Path) -> None:
    written(tmp_path, MODEL)
    done = run(str(tmp_path))
    assert (done.exit_code, done.stdout) == (0, "1 file checked, 0 findings\n")


@pytest.mark.parametrize("place", ["changed", "saved"])
def test_a_comment_suppresses_the_rules_that_it_names(tmp_path: Path, place: str) -> None:
    fault(tmp_path, **{place: "  # joblot: ignore[JL101, JL102] only one process"})
    done = run(str(tmp_path))
    assert (done.exit_code, done.stdout) == (0, "1 file checked, 0 findings, 1 suppressed\n")


@pytest.mark.parametrize("comment", ["ignore[JL101]", "ignore[]", "ignore", "ignored[JL102]"])
def test_another_comment_suppresses_nothing(tmp_path: Path, comment: str) -> None:
    fault(tmp_path, f"  # joblot: {comment}")
    assert run(str(tmp_path)).exit_code == 1


def test_a_comment_in_a_text_suppresses_nothing(tmp_path: Path) -> None:
    fault(tmp_path, '; note = "# joblot: ignore[JL102]"')
    assert run(str(tmp_path)).exit_code == 1


def test_rules_are_selected_by_their_codes(tmp_path: Path) -> None:
    fault(tmp_path)
    assert run(str(tmp_path), "--select", "JL101").exit_code == 0
    assert run(str(tmp_path), "--select", "JL101", "--select", "JL102").exit_code == 1
    assert run(str(tmp_path), "--select", "JL999").exit_code == 2


def test_a_path_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    assert run(str(tmp_path / "nothing")).exit_code == 3


@pytest.mark.parametrize(
    "text", ["def f(:\n", "x = 1\0\n", "# coding: nothing\n", "(" * 300 + ")" * 300]
)
def test_a_file_that_can_not_be_parsed_is_a_finding(tmp_path: Path, text: str) -> None:
    written(tmp_path, text, "broken.py")
    fault(tmp_path)
    assert [one.rule.code for one in check([tmp_path]).findings] == ["JL000", "JL102"]


def test_tests_migrations_and_environments_are_left_out(tmp_path: Path) -> None:
    for name in ("tests", "jobs/migrations", "test_jobs.d", "env/lib", ".hidden"):
        fault(tmp_path / name)
    written(tmp_path, MODEL + FAULT.format("", ""), "test_jobs.py")
    (tmp_path / "env/pyvenv.cfg").touch()
    assert check([tmp_path]).files == 0
    assert check([tmp_path / "test_jobs.py"]).files == 1, "it was named"


def test_a_model_is_known_in_all_files_that_are_checked_together(tmp_path: Path) -> None:
    written(tmp_path, MODEL)
    tasks = written(tmp_path, FAULT.format("", ""), "tasks.py")
    assert check([tasks]).findings == ()
    assert [one.path for one in check([tmp_path]).findings] == [tasks]


def test_a_method_is_excused_if_all_its_callers_hold_the_lock(tmp_path: Path) -> None:
    method = '    def end(self):\n        self.status = "OVER"\n        self.save()\n'
    locked = "\ndef a(pk):\n    Job.objects.select_for_update().get(pk=pk).end()\n"
    by_name = "\ndef a(pk):\n    job = Job.objects.select_for_update().get(pk=pk)\n    job.end()\n"
    unlocked = "\ndef b(pk):\n    job = Job.objects.get(pk=pk)\n    job.end()\n"
    written(tmp_path, MODEL + method + locked + by_name)
    assert check([tmp_path]).findings == ()
    written(tmp_path, MODEL + method + locked + by_name + unlocked)
    assert [one.line for one in check([tmp_path]).findings] == [7]


def test_nothing_is_imported_and_django_is_not_needed(tmp_path: Path) -> None:
    text = "raise SystemExit('imported')\n"
    fault(tmp_path).write_text(text + MODEL + FAULT.format("", ""), encoding="utf-8")
    code = (
        "import sys; from joblot.lint.check import check; from pathlib import Path\n"
        "found = check([Path(sys.argv[1])]).findings\n"
        "print(len(found), 'django' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 False\n"
