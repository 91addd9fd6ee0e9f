"""The page of the state machines matches the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_from_the_states() -> None:
    spec = importlib.util.spec_from_file_location("maker", ROOT / "docs/make_state_machine.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    written = (ROOT / "docs/reference/state-machine.md").read_text(encoding="utf-8")
    assert written == maker.page(), "run `python docs/make_state_machine.py`"
