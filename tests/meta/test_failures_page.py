"""Every failure that is known has a test, and the page says which."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
maker = runpy.run_path(str(DOCS / "make_failures.py"))


def test_every_failure_has_a_test_and_every_test_a_rule() -> None:
    assert set(maker["shown"]()) == set(maker["rules"]())


def test_the_page_is_made_from_the_tests() -> None:
    written = (DOCS / "failures.md").read_text(encoding="utf-8")
    assert written == maker["page"](), "run `python docs/make_failures.py`"
