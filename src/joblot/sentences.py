"""What a page says of a job in words. Pure."""

from __future__ import annotations

from typing import Any

from joblot.shown import counted

Json = dict[str, Any]


def basis(eta: Json) -> str:
    """What an estimate is made from."""
    if eta["items_per_second"] is None:
        return ""
    rate = eta["items_per_second"]
    shown = f"{rate:,.1f} results/s" if rate >= 1 else f"{rate * 60:,.1f} results/min"
    return f"From the last 15 min: {shown}, {counted(eta['workers'], 'worker')}"


def share(part: int, whole: int) -> str:
    """In percent, rounded down; what there is, is never 0 %."""
    percent = part * 100 // max(1, whole)
    return f"{percent} %" if percent or not part else "under 1 %"
