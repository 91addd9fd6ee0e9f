"""The reference matches the code and omits no public name."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import joblot
from joblot.states import Receipt
from tests.meta.sources import ROOT


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("maker", ROOT / "docs/make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    return maker


def test_the_page_is_made_from_the_code() -> None:
    written = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    assert written == _maker().page(), "run `python docs/make_reference.py`"


def test_every_public_name_and_receipt_is_on_the_page() -> None:
    page = _maker().page()
    verbs = set(joblot.__all__) - {"PermanentError"}
    assert {name for name in verbs if f"### `{name}` **public**" not in page} == set()
    assert {receipt for receipt in Receipt if f"| `{receipt}` |" not in page} == set()
    assert "| `PermanentError` |" in page
