"""The tutorial is correct: its blocks run in order, and each prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.meta.sources import ROOT

BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)
MARK = "-- end of a block --"


def _steps() -> Iterator[tuple[str, str]]:
    """Each block of Python, with its expected output."""
    page = (ROOT / "docs/tutorials/python.md").read_text(encoding="utf-8")
    blocks = [*BLOCK.findall(page), ("python", "")]
    for (kind, text), (next_kind, next_text) in pairwise(blocks):
        if kind == "python":
            yield text, next_text if next_kind == "text" else ""


def _saved(code: str, directory: Path) -> str | None:
    """The name of the file that the block is, by its first line; it is written."""
    named = re.match(r"# (\w+\.py)\n", code)
    if named is None:
        return None
    (directory / named[1]).write_text(code, encoding="utf-8")
    return named[1]


def _run(directory: Path, *command: str) -> str:
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("JOBLOT_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env=ours,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tutorial_prints_what_it_says(tmp_path: Path) -> None:
    steps = []
    for code, text in _steps():
        if (name := _saved(code, tmp_path)) is None:
            steps.append((code, text))
        elif text:
            assert _run(tmp_path, name) == text
    program = "".join(f"{code}\nprint({MARK!r})\n" for code, _ in steps)
    (tmp_path / "tutorial.py").write_text(program, encoding="utf-8")
    printed = _run(tmp_path, "tutorial.py").split(f"{MARK}\n")
    assert printed[:-1] == [text for _, text in steps]
    shown = _run(tmp_path, "-m", "joblot.cli", "show", "1", "--db", "tutorial.sqlite3")
    assert "Succeeded" in shown
