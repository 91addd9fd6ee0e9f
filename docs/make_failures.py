"""Write docs/failures.md from tests/failures: `python docs/make_failures.py`."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "failures"
PAGE = Path(__file__).parent / "failures.md"
ID = re.compile(r"(?<=_)(?:LU|ST|RP|RD|NT|IN|CT|DP|CL|OT|SN|WK)\d+(?=_)")

HEAD = """# What goes wrong elsewhere, and the test that shows it can't here

Collected from the public threads of a production platform with long jobs, many result handlers, a
task queue, a broker and a cache. Each row is a rule that joblot holds, and the tests that show it,
on SQLite and on PostgreSQL. Made by `python docs/make_failures.py`; a test checks that every rule
has a test.

| id | rule | shown by |
|---|---|---|
"""

TAIL = """
What needs more than the ledger, and is not shown here:

| id | what it waits for |
|---|---|
"""


def rules() -> dict[str, str]:
    return dict(runpy.run_path(str(TESTS / "rules.py"))["RULES"])


def waiting() -> dict[str, str]:
    return dict(runpy.run_path(str(TESTS / "waiting.py"))["WAITING"])


def shown() -> dict[str, list[str]]:
    """For each id the tests whose names begin with it, as file::test."""
    tests: dict[str, list[str]] = {}
    for path in sorted(TESTS.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for failure in ID.findall(node.name):
                    tests.setdefault(failure, []).append(f"{path.stem}::{node.name}")
    return tests


def page() -> str:
    tests = shown()
    rows = [
        f"| {failure} | {rule} | {'<br>'.join(f'`{test}`' for test in tests.get(failure, []))} |"
        for failure, rule in rules().items()
    ]
    later = [f"| {failure} | {reason} |" for failure, reason in waiting().items()]
    return HEAD + "\n".join(rows) + "\n" + TAIL + "\n".join(later) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
