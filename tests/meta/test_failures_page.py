"""Every known failure has a test, and the page says which."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
# Spelled out, so that a failure removed from both the tests and the rules is noticed here.
NUMBERS = {
    "LU": "1 2 4 5 6 7 8 9 10",
    "ST": "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
    "RP": "1 2 3 4 5 6 7 8 11 12 13 14",
    "RD": "1 2 4 5 6 8",
    "NT": "1 2 3 4 5 6 7 8 9 10 11 13",
    "IN": "1 2 3 4 5 7 8 9 10",
    "CT": "1 2 3 4 5 6 7 8 9",
    "DP": "1 2 3 4 5 7 8 9",
    "CL": "1 2 4 5 6 7 8 9 10",
    "SN": "1 2 3 4",
    "WK": "1 2 3 4 5",
    "OT": "1 2 3 4",
}
KNOWN = {f"{kind}{n}" for kind, numbers in NUMBERS.items() for n in numbers.split()}

maker = runpy.run_path(str(DOCS / "make_failures.py"))


def test_every_failure_has_a_test_and_every_test_a_rule() -> None:
    assert set(maker["shown"]()) == set(maker["rules"]())


def test_no_failure_is_both_shown_and_waiting() -> None:
    assert not set(maker["shown"]()) & set(maker["waiting"]())


def test_every_known_failure_is_shown_or_waiting() -> None:
    assert set(maker["rules"]()) | set(maker["waiting"]()) == KNOWN


def test_the_page_is_made_from_the_tests() -> None:
    written = (DOCS / "explanation/failures.md").read_text(encoding="utf-8")
    assert written == maker["page"](), "run `python docs/make_failures.py`"
