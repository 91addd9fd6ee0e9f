"""The page of the rules: each rule is on it, and its examples are what it says of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from joblot.lint.check import check
from joblot.lint.rules import NOT_PARSED, RULES
from tests.meta.sources import ROOT

PAGE = (ROOT / "docs/reference/lint.md").read_text(encoding="utf-8")
SECTIONS = {
    (code, name): re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for code, name, text in re.findall(
        r"^### (JL\d+) ([\w-]+)\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE
    )
}
MODEL = """
class Job(models.Model):
    name = models.CharField()
    status = models.CharField()
    progress = models.JSONField()
    processed = models.IntegerField()

"""
HEAD = f"import requests\n{MODEL}"


def codes(folder: Path, example: str) -> list[str]:
    (folder / "example.py").write_text(HEAD + example, encoding="utf-8")
    return [one.rule.code for one in check([folder]).findings]


def test_every_rule_has_a_section() -> None:
    assert set(SECTIONS) == {(rule.code, rule.name) for rule in RULES.values()}


@pytest.mark.parametrize("code", sorted(set(RULES) - {NOT_PARSED.code}))
def test_the_first_example_is_reported_and_the_second_is_not(tmp_path: Path, code: str) -> None:
    wrong, right = SECTIONS[code, RULES[code].name]
    assert codes(tmp_path, wrong) == [code]
    assert codes(tmp_path, right) == []
