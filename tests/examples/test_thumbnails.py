"""The example project runs as its README says, and is as short as it claims."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.polling import eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "thumbnails"
LINES_MAX = 60
ENVIRONMENT = {
    k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "JOBLOT_", "PYTHONPATH"))
}


def test_the_example_project_works(tmp_path: Path) -> None:
    project = tmp_path / "thumbnails"
    shutil.copytree(EXAMPLE, project)
    _manage(project, "migrate", "--verbosity=0")
    assert _manage(project, "check").startswith("System check identified no issues")
    assert _manage(project, "thumbnails") == "job 1: 100 photos\n"
    said = project / "said"
    with said.open("w") as output:
        worker = subprocess.Popen(
            [sys.executable, "-u", "manage.py", "joblot_worker", "--sweep"],
            cwd=project,
            env=ENVIRONMENT,
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: "job 1 ended as SUCCESS: 100 rows" in said.read_text())
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait()
    assert worker.returncode == 0, said.read_text()


def test_the_example_project_is_short() -> None:
    files = [path for path in EXAMPLE.rglob("*.py") if path.parent.name != "migrations"]
    assert sum(len(path.read_text().splitlines()) for path in files) < LINES_MAX


def _manage(project: Path, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=project,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
