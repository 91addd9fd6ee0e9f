"""Each guard is where the table says and has a test; `make mutants` verifies the test."""

from __future__ import annotations

import ast
import runpy

import pytest

from tests.interleave.guards import GUARDS
from tests.interleave.guards.guard import Guard
from tests.interleave.mutants import ROOT

by_guard = pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.kept[:40])


@by_guard
def test_the_guard_stands_once_in_its_file(guard: Guard) -> None:
    assert guard.text(ROOT / "src").count(guard.old) == 1


@by_guard
def test_the_test_that_misses_it_is_there(guard: Guard) -> None:
    file, *names = guard.caught_by.partition("[")[0].split("::")
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    there = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    assert names
    assert set(names) <= there


def test_the_page_is_made_from_the_table() -> None:
    maker = runpy.run_path(str(ROOT / "docs" / "make_guards.py"))
    written = maker["PAGE"].read_text(encoding="utf-8")
    assert written == maker["page"](), "run `python docs/make_guards.py`"
