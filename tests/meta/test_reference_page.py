"""The reference matches the code and omits no public name."""

from __future__ import annotations

import re

import pytest

from joblot.states import NoLease, Receipt
from tests.meta.reference import maker
from tests.meta.sources import ROOT

REFERENCE = ROOT / "docs/reference"


def test_the_pages_are_made_from_the_code() -> None:
    pages = maker().pages()
    made = {path: path.read_text(encoding="utf-8") for path in pages if path.exists()}
    assert made == pages, "run `python docs/make_reference.py`"
    assert set((REFERENCE / "python").iterdir()) <= set(pages), "remove the pages of no namespace"


@pytest.mark.parametrize("namespace", maker().NAMESPACES)
def test_every_public_name_is_in_the_index_and_has_an_entry(namespace: str) -> None:
    index = maker().index().partition(f"## [`{namespace}`]")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| \[`(\w+)`\]\(([\w/.]+)#", index, re.MULTILINE)
    assert sorted(name for name, _ in listed) == sorted(maker().exported(namespace))
    page = maker().pages()[REFERENCE / listed[0][1]]
    assert {n for n, _ in listed if not re.search(rf"^## .*\b{n}`$", page, re.MULTILINE)} == set()


def test_every_receipt_and_reason_is_explained() -> None:
    page = maker().pages()[REFERENCE / "python/states.md"]
    for one in [*Receipt, *NoLease]:
        assert re.search(rf"^\| `{one.name}` \| `{one.value}` \| \w", page, re.MULTILINE), one
