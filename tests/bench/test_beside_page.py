"""The page that compares joblot with other tools says what its results say."""

from __future__ import annotations

import json

from bench.beside.page import PAGE, PATH, tables
from bench.beside.tools import TOOLS


def test_the_tables_are_those_of_the_results() -> None:
    document = json.loads(PATH.read_text())
    assert "\n".join(tables(document)) in PAGE.read_text(encoding="utf-8")


def test_each_tool_was_measured_in_each_way() -> None:
    measured = json.loads(PATH.read_text())["measured"]
    for tool in TOOLS:
        assert set(measured[tool.name]) == {"trivial", "waiting", "kill main", "kill worker"}
