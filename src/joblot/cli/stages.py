"""The counts of a stage as words, glyphs and colors, the same as on the pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

GAVE_UP = ("failed", "lost", "skipped")


@dataclass(frozen=True, slots=True)
class Shade:
    """How the items in one state are shown. Without a color: as the text."""

    name: str  # in the answer of `progress`
    word: str
    glyph: str
    color: str | None


# The hues of the pages. A terminal's background is unknown, so each color has a contrast of at
# least 3 to black and to white; the word and its number beside it are never colored.
IN_ORDER = (
    Shade("succeeded", "succeeded", "✓", "#488fea"),
    Shade("failed", "failed", "✕", "#e0483a"),
    Shade("lost", "lost", "?", "#b55cc2"),
    Shade("skipped", "skipped", "↷", "#788183"),
    Shade("cancelled", "canceled", "–", None),
    Shade("in_flight", "in flight", "▸", "#bf7b00"),
    Shade("waiting", "waiting", "◷", "#8f6a24"),
    Shade("ready", "ready", "·", None),
)


def counts(stage: dict[str, Any]) -> dict[str, int]:
    """The stage's items by state, in order; the counts add up to its total.

    Items that have not come to this stage yet are `waiting`.
    """
    known = {one.name: int(stage.get(one.name, 0)) for one in IN_ORDER}
    known["waiting"] = stage["total"] - (sum(known.values()) - known["waiting"])
    return known


def note(job: dict[str, Any], stage: dict[str, Any]) -> str:
    """Anything unusual: failures, and a job that is paused or canceling."""
    parts = [f"{stage[name]:,} {name}" for name in GAVE_UP if stage[name]]
    if job["status"] in ("PAUSED", "CANCELING"):
        parts.append(job["status"].lower())
    return ", ".join(parts)
