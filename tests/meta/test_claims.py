"""Sentences of the docs that say exact, exactly, never or always name the test that shows it.

So do sentences that say that nothing is lost or happens twice, and each of the ten invariants. The
mark is a comment in the sentence's block, which is a paragraph, a list item or a table row:
`<!-- shown by: tests/a/test_b.py::test_c, tests/d/test_e.py -->`. If the word makes no claim about
joblot, the mark is `<!-- no claim: why -->`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.meta.sources import ROOT

# Generated pages, records of measurements, and the page of the proofs, whose rows are tests.
NOT_PROMISES = {
    "explanation/arena.md",
    "explanation/failures.md",
    "explanation/guards.md",
    "explanation/peers.md",
    "explanation/proof.md",
    "reference/python.md",
    "reference/settings.md",
    "reference/state-machine.md",
}
FOLDERS = ("tutorials", "how-to", "reference", "explanation")
PAGES = [
    ROOT / "README.md",
    ROOT / "docs/README.md",
    *sorted(
        page
        for folder in FOLDERS
        for page in (ROOT / "docs" / folder).glob("*.md")
        if f"{folder}/{page.name}" not in NOT_PROMISES
    ),
]
WORD = re.compile(
    r"\b(exact|exactly|never|always|loses?\s+nothing|nothing\s+(\w+\s+){0,4}(lost|twice))\b",
    re.IGNORECASE,
)
MARK = re.compile(r"<!--\s*(shown by|no claim):\s*(.*?)\s*-->", re.DOTALL)
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
NOT_PROSE = re.compile(r"<!--.*?-->|`[^`]*`|\]\([^)]*\)", re.DOTALL)
BEGINS = re.compile(r"\s*([-*] |\d+\. )|\||#|$")  # a block; `$` is the empty line before one


@dataclass
class Block:
    line: int
    text: str

    @property
    def claims(self) -> bool:
        return WORD.search(NOT_PROSE.sub(" ", self.text)) is not None

    @property
    def marks(self) -> list[tuple[str, str]]:
        return MARK.findall(self.text)


@dataclass
class Invariant(Block):
    """An invariant is a claim, whatever its words."""

    @property
    def claims(self) -> bool:
        return True


def blocks(text: str) -> list[Block]:
    """The blocks of a page, without headings and fenced code."""
    found: list[Block] = []
    prose = FENCED.sub(lambda code: "\n" * code[0].count("\n"), text)
    for number, line in enumerate(prose.splitlines(), 1):
        if not found or BEGINS.match(line):
            found.append(Block(number if line.strip() else number + 1, line))
        else:
            found[-1].text += f"\n{line}"
    return [block for block in found if block.text.strip() and not block.text.startswith("#")]


def blocks_of(page: Path) -> list[Block]:
    found = blocks(page.read_text(encoding="utf-8"))
    if page.name != "invariants.md":
        return found
    return [Invariant(b.line, b.text) if b.text[0].isdigit() else b for b in found]


def problems(found: list[Block]) -> Iterator[str]:
    for block in found:
        begin = f"line {block.line}, {' '.join(block.text.split())[:60]!r}: "
        if block.claims and len(block.marks) != 1:
            yield f"{begin}expected one mark, found {len(block.marks)}"
        if block.marks and not block.claims:
            yield f"{begin}a mark, and no word that needs it"
        for kind, said in block.marks:
            wrong = missing(said) if kind == "shown by" else [] if said else ["no reason"]
            yield from (f"{begin}{what}" for what in wrong)


def missing(names: str) -> list[str]:
    """The named tests that do not exist."""
    return [f"no test {name}" for name in re.split(r",\s*", names) if not is_there(name)]


def is_there(name: str) -> bool:
    path, _, inside = name.partition("::")
    return (ROOT / path).is_file() and (inside or None) in named_in(path)


@cache
def named_in(path: str) -> frozenset[str | None]:
    """The names of a file's tests; with None, for the file itself, if it has any."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = [name for node in tree.body for name in _names(node)]
    return frozenset([None, *found] if found else [])


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
        yield node.name
    if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
        yield node.name
        yield from (f"{node.name}::{name}" for child in node.body for name in _names(child))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_claim_names_the_tests_that_show_it(page: Path) -> None:
    assert list(problems(blocks_of(page))) == []


HERE = "tests/meta/test_claims.py"
THIS = f"<!-- shown by: {HERE}::test_a_claim_without_its_test_is_found -->"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It never fails.", "expected one mark, found 0"),
        (f"It never fails.\n\n{THIS}", "expected one mark, found 0"),
        (f"- It is\n  Exact.\n- It always is. {THIS}", "expected one mark, found 0"),
        (f"| exactly | once |\n| never | {THIS} |", "expected one mark, found 0"),
        (f"It never fails.\n{THIS}\n{THIS}", "expected one mark, found 2"),
        ("So nothing that was\ncounted is lost.", "expected one mark, found 0"),
        ("Nothing is done twice.", "expected one mark, found 0"),
        (f"It does not fail.\n{THIS}", "no word that needs it"),
        (f"`never`, [once](#never)\n{THIS}", "no word that needs it"),
        ("Never.\n<!-- no claim: -->", "no reason"),
        ("Never.\n<!-- shown by: -->", "no test"),
        (f"Never.\n<!-- shown by: {HERE}::test_nothing -->", "no test"),
        (f"Never.\n<!-- shown by: {HERE}, tests/meta/test_nothing.py -->", "no test"),
        ("Never.\n<!-- shown by: tests/meta/sources.py -->", "no test"),
    ],
)
def test_a_claim_without_its_test_is_found(text: str, said: str) -> None:
    assert said in "\n".join(problems(blocks(text)))


@pytest.mark.parametrize(
    "text",
    [
        f"It is\nexact.\n{THIS}",
        f"1. It is\n   exact.\n   {THIS}",
        f"| never | {THIS} |",
        f"Never.\n<!-- shown by: {HERE},\n{HERE}::test_a_claim_that_names_its_test_is_taken -->",
        "Always look.\n<!-- no claim: advice -->",
        "## Never\n\nIt does not fail: `never`, [once](#never).\n\n```\nnever\n```",
    ],
)
def test_a_claim_that_names_its_test_is_taken(text: str) -> None:
    assert list(problems(blocks(text))) == []
