"""A test's plans do not depend on the statistics of the planner that an earlier test has left."""

from __future__ import annotations

import re
from pathlib import Path

from tests.meta.sources import ROOT, python_files

ANALYZES = re.compile(r"(?<![(\w])ANALYZE\b")  # not `EXPLAIN (ANALYZE)`


def test_who_analyzes_tables_forgets_the_statistics() -> None:
    found = {
        str(path.relative_to(ROOT)): "forget_statistics(" in text
        for path in python_files("tests")
        if path != Path(__file__) and ANALYZES.search(text := path.read_text(encoding="utf-8"))
    }
    assert found
    assert [name for name, forgets in found.items() if not forgets] == []
