"""Cells of CSV, which is often opened in a spreadsheet."""

from __future__ import annotations

import json
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet begins a formula


def cell(value: Any) -> str:
    """Null is an empty cell. What a spreadsheet would run as a formula gets a quote in front."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA) else text
