"""Projects of different styles: what is found in each is what their comments say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from joblot.lint.check import check
from tests.meta.sources import ROOT

PROJECTS = Path(__file__).parent / "projects"
STYLES = sorted(path.name for path in PROJECTS.iterdir())
EXPECTED = re.compile(r"# finds (JL\d{3})")

Places = set[tuple[str, int, str]]


def expected(folder: Path) -> Places:
    return {
        (path.name, number, found[1])
        for path in folder.glob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (found := EXPECTED.search(line))
    }


def found(folder: Path) -> Places:
    return {(one.path.name, one.line, one.rule.code) for one in check([folder]).findings}


@pytest.mark.parametrize("style", STYLES)
def test_what_is_found_is_what_is_wrong(style: str) -> None:
    assert found(PROJECTS / style) == expected(PROJECTS / style)


def test_only_the_clean_project_has_no_fault() -> None:
    assert [style for style in STYLES if not expected(PROJECTS / style)] == ["clean"]


def test_the_examples_have_no_fault() -> None:
    report = check([ROOT / "examples"])
    assert report.files > 3
    assert report.findings == ()


def test_the_faulty_half_of_the_demonstration_is_found() -> None:
    report = check([ROOT / "src/joblot/demo"])
    assert {one.path.name for one in report.findings} == {"unlocked.py"}
    assert {one.rule.code for one in report.findings} == {"JL101"}
