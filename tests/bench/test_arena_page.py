"""The tables of the arena's page are those that its command writes from the stored results."""

from __future__ import annotations

import json

from bench.arena.page import PAGE, filled
from bench.figures import KEPT

DOCUMENT = json.loads((KEPT / "arena.json").read_text(encoding="utf-8"))


def test_the_page_shows_the_stored_results():
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page, DOCUMENT) == page


def test_another_result_would_change_the_page():
    changed = json.loads(json.dumps(DOCUMENT))
    changed["figures"][0]["value"] += 1
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page, changed) != page
