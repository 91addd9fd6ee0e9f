"""The example platform runs end to end, small: both kinds of workers, and one that dies."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "platform"
JOBLOT = str(Path(sys.executable).parent / "joblot")
IMAGES = 60

OLD_SURVEY = """
from board.models import Detection, Image, Occurrence, Survey
params = [{"key": "processed", "value": 3}, {"key": "failed", "value": 0}]
old = {"stages": [{"key": "process", "params": params}]}
survey = Survey.objects.create(name="an old one", status="STARTED", progress=old)
for n in range(4):
    Image.objects.create(survey=survey, url=f"https://old.test/{n}.jpg")
for n in range(2):
    Detection.objects.create(url=f"https://old.test/{n}.jpg", box={"x1": n})
Occurrence.objects.create(url="https://old.test/0.jpg", detections=1)
"""
READ_PAGES = """
from django.test import Client
from board.models import Survey
from board.render import render
from board.dispatch import dispatch
from joblot.maintenance import audit
survey = Survey.objects.get(name="an old one")
assert audit(survey.job)["ok"]
assert dispatch(survey.pk) == survey.job, "the dispatcher finds the job that was moved"
assert render(survey.job) == 1
old, live = (Client().get(f"/surveys/{survey.pk}/{page}").json() for page in ("", "live/"))
assert old == live, (old, live)
assert Client().post(f"/surveys/{survey.pk}/cancel/").status_code == 202
import json; print(json.dumps([old, Client().get(f"/surveys/{survey.pk}/live/").json()["status"]]))
"""


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("platform") / "migrated"
    shutil.copytree(EXAMPLE, folder)
    run(folder, sys.executable, "manage.py", "migrate", "--verbosity=0")
    return folder


@pytest.fixture
def project(tmp_path: Path, migrated: Path) -> Path:
    folder = tmp_path / "platform"
    shutil.copytree(migrated, folder)
    return folder


def run(folder: Path, *command: str, expect: int = 0) -> str:
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "JOBLOT_"))}
    path = f"{Path(sys.executable).parent}:{ours['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=ours | {"PATH": path, "DJANGO_SETTINGS_MODULE": "settings"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def test_the_platform_runs_end_to_end(project: Path) -> None:
    said = run(project, sys.executable, "manage.py", "platform", "--images", str(IMAGES))
    who, *shown = said.splitlines()
    broken = IMAGES // 50
    good = IMAGES - broken
    found = re.fullmatch(r"over HTTP (\d+) results counted, the fleet processed (\d+) images", who)
    assert found, who
    assert min(map(int, found.groups())) > 0, "both kinds of workers have worked"
    assert shown[0] == "the old page: COMPLETED_WITH_ERRORS, 100%"
    process = f"process: processed {IMAGES}, remaining 0, failed {broken}, detections {good}"
    assert shown[1].startswith(process)
    assert shown[2] == f"results: processed {IMAGES}, remaining 0, failed 0"
    assert shown[3] == f"rows: {good} detections, {good} occurrences"
    assert json.loads(run(project, JOBLOT, "audit", "1", "--json"))["ok"]


def test_a_survey_of_the_old_code_moves_and_the_old_page_goes_on(project: Path) -> None:
    shell = (sys.executable, "manage.py", "shell", "--verbosity=0", "-c")
    run(project, *shell, OLD_SURVEY)
    moved = run(project, JOBLOT, "import-blob", "board.moving:Moving", "--cut-over", expect=1)
    assert "2 recorded" in moved
    assert "not taken over: 1 counted by the JSON without a result" in moved
    page, cancelled = json.loads(run(project, *shell, READ_PAGES))
    process, results = page["progress"]["stages"]
    assert [one["value"] for one in process["params"]] == [2, 2, 0]
    assert [one["value"] for one in results["params"]] == [1, 3, 0]
    assert cancelled in ("CANCELING", "REVOKED")
