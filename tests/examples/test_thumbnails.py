"""The example project runs as its docstring says, and is as short as it claims."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "thumbnails"
LINES_MAX = 60


def test_the_example_project_works(tmp_path: Path) -> None:
    project = tmp_path / "thumbnails"
    shutil.copytree(EXAMPLE, project)
    _manage(project, "migrate", "--verbosity=0")
    output = _manage(project, "thumbnails")
    assert output == "job 1 ended as SUCCESS\nSUCCESS 100.0 % 100 rows\n"
    assert _manage(project, "check").startswith("System check identified no issues")


def test_the_example_project_is_short() -> None:
    files = [path for path in EXAMPLE.rglob("*.py") if path.parent.name != "migrations"]
    assert sum(len(path.read_text().splitlines()) for path in files) < LINES_MAX


def _manage(project: Path, *args: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DJANGO_")}
    done = subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
