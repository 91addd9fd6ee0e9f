"""Every file and name that the tour and the page of the architecture mention exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.meta.sources import ROOT

PAGES = ["tour.md", "architecture.md"]
# Where a path may begin: the page has a section on the folders of the ledger.
TOPS = [ROOT / "src/joblot", ROOT / "src/joblot/ledger", ROOT]
STOPS_MAX = 8
# `a/b.py`, `a/b.py::name`, `a/b/`
CODE = re.compile(r"`([\w/]+(?:\.py|/)(?:::[\w.]+)?)`")
FENCED = re.compile(r"^```\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What the pages name and the code does not have yet.


def named(page: str) -> list[str]:
    text = (ROOT / "docs/explanation" / page).read_text(encoding="utf-8")
    return CODE.findall(text)


def exists(place: str) -> bool:
    """True for a file or folder that exists, and for a name that its file defines."""
    file, _, name = place.partition("::")
    path = next((top / file for top in TOPS if (top / file).exists()), None)
    if path is None or not name:
        return path is not None
    return name in defined(ast.parse(path.read_text(encoding="utf-8")))


def defined(node: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[str]:
    """The functions, classes and values of a module, and the methods as `Class.method`."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.ClassDef):
            yield prefix + part.name
        if isinstance(part, ast.ClassDef):
            yield from defined(part, f"{part.name}.")
        if isinstance(part, ast.Assign | ast.AnnAssign):
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            yield from (prefix + one.id for one in targets if isinstance(one, ast.Name))


def test_the_layout_on_the_page_is_that_of_the_folders() -> None:
    text = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    shown = re.findall(
        r"(?:^|·  )\s*(\w+(?:/|\.py))\s", "\n".join(FENCED.findall(text)), re.MULTILINE
    )
    assert {place for place in shown if not exists(place)} == set()
    ledger = [path for path in TOPS[1].iterdir() if not path.name.startswith("__")]
    assert {path.name + "/" * path.is_dir() for path in ledger} <= set(shown)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(page: str) -> None:
    assert {place for place in named(page) if not exists(place)} == set()


def test_each_way_has_at_most_eight_stops() -> None:
    text = (ROOT / "docs/explanation/tour.md").read_text(encoding="utf-8")
    ways = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [way.partition("\n")[0] for way in ways] == ["A submit", "A claim", "A result"]
    assert max(len(re.findall(r"^\d+\. ", way, re.MULTILINE)) for way in ways) <= STOPS_MAX


def test_a_place_that_does_not_exist_is_found() -> None:
    assert exists("ledger/claim/claim.py::claim")
    assert exists("ledger/submit/items.py::Filling._take_chunk")
    assert not exists("ledger/claim/claim.py::nothing")
    assert not exists("ledger/look.py")
