"""Every link of a page leads to a file and a heading that exist; the index names every page."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.meta.sources import ROOT

DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def text_of(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(text_of(page)) if "://" not in link]


@cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    assert [link for link in links(page) if not leads_somewhere(page, link)] == []


@pytest.mark.parametrize("index", ["README.md", "decisions/README.md"])
def test_the_index_names_every_page(index: str) -> None:
    page = DOCS / index
    linked = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
    below = set(page.parent.rglob("*.md")) - {page}
    decisions = set((DOCS / "decisions").glob("0*.md"))
    assert below - (decisions if index == "README.md" else set()) <= linked


def test_a_link_that_leads_nowhere_is_found() -> None:
    page = DOCS / "README.md"
    assert not leads_somewhere(page, "tutorials/nothing.md")
    assert not leads_somewhere(page, "#nothing")
