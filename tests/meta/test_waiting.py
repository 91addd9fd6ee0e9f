"""Tests wait for what happens, not for time to pass."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.meta.sources import ROOT, python_files

# Who may sleep, and why.
SLEEPERS = {
    "tests/distributed/celery/project.py": "a task that takes a while",
    "tests/polling.py": "between two looks",
    "tests/webhooks/test_misbehaving.py": "a receiver that is slow",
}


def sleeps(path: Path) -> Iterator[int]:
    """The lines of calls of `sleep`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and _sleeps(node):
            yield node.lineno


def _sleeps(call: ast.Call) -> bool:
    """Not if it only lets others go first: `sleep(0)`."""
    called = ast.unparse(call.func)
    return called.rpartition(".")[2] == "sleep" and ast.unparse(call) != f"{called}(0)"


def test_no_test_sleeps() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in python_files("tests")
        if (lines := list(sleeps(path)))
    }
    assert found.keys() == SLEEPERS.keys(), found
