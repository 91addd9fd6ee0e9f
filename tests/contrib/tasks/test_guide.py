"""The guide's code, in a project with a worker in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import django

from tests.meta.sources import ROOT
from tests.polling import eventually
from tests.project.conftest import Project, project

__all__ = ["project"]

GUIDE = ROOT / "docs/how-to/django-tasks.md"
NAMED = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SCRIPT = """
import json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config"
import django
django.setup()
from shop.checkout import pay
from shop.tasks import send_receipt
result = send_receipt.get_result(sys.argv[1]) if sys.argv[1:] else pay(7, "ana@example.org")
print(json.dumps([result.id, result.status, result.attempts, len(result.errors)]))
"""


def write_guide(project: Project) -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    if django.VERSION < (6, 0):
        guide = guide.replace("from django.tasks", "from django_tasks")
    for name, code in NAMED.findall(guide):
        path = project.folder / name
        before = path.read_text() if path.exists() else ""
        path.write_text(f"{before}\n{code}")


def run(project: Project, *args: str) -> list[str | int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *args],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: list[str | int] = json.loads(done.stdout)
    return answer


def test_the_guide_runs(project: Project) -> None:
    write_guide(project)
    id_, status, *_ = run(project)
    assert status == "READY"
    worker = project.start("joblot_worker", "--noreload", "--sweep", "--pipeline", "tasks:mail")
    settled = "SELECT count(*) FROM joblot_outcome"
    eventually(lambda: project.ask(settled) == [(1,)] or worker.poll() is not None)
    worker.terminate()
    project.ended(worker)
    assert project.output().startswith("joblot_worker: serving tasks:mail\n")
    assert run(project, str(id_)) == [id_, "SUCCESSFUL", 2, 1]
