"""Bars of states, as SVG that the content security policy allows: no style, only attributes."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from joblot.words import STATES

UNITS = 120  # of a bar; it is never shown narrower than as many pixels
# Made once, for a list has hundreds of them: only the numbers differ.
RECTS = {
    name: format_html('<rect class="s-{0}" data-state="{0}" data-word="{1}"', name, shown.word)
    + ' x="{:g}" width="{:g}" height="{:d}"/>'
    for name, shown in STATES.items()
}
PART_UNITS_MIN = 2  # of a state with at least one item, so that one failure is seen


def bar(counts: Mapping[str, int], *, height: int = 8, stage: int | None = None) -> SafeString:
    """A bar of the states in their order, with their counts as its text.

    With `stage`, the position of a stage, the bar follows the snapshots of its job; so there is a
    part for each state, even if it is empty. What has not reached the stage is ready in the bar.
    """
    parts = [(name, counts.get(name, 0)) for name in STATES]
    parts[-1] = ("ready", counts.get("ready", 0) + counts.get("not_reached", 0))
    rects, x = [], 0.0
    for (name, _), width in zip(parts, part_widths([count for _, count in parts]), strict=True):
        rects.append(RECTS[name].format(x, width, height))
        x += width
    label = ", ".join(f"{count:,} {STATES[name].word}" for name, count in parts if count)
    return format_html(
        '<svg class="bar" role="img"{} aria-label="{}" viewBox="0 0 {} {}" height="{}" '
        'preserveAspectRatio="none"><title>{}</title>{}</svg>',
        "" if stage is None else format_html(' data-f-bar="stages.{}"', stage),
        label or "no items",
        UNITS,
        height,
        height,
        label or "no items",
        mark_safe("".join(rects)),  # noqa: S308 (our own words, and numbers)
    )


def part_widths(counts: list[int]) -> list[float]:
    """Widths in proportion that fill the bar; of what there is, none is too narrow to be seen."""
    total = sum(counts)
    narrow = {n for n, count in enumerate(counts) if 0 < count * UNITS < PART_UNITS_MIN * total}
    free = UNITS - PART_UNITS_MIN * len(narrow)
    wide = sum(count for n, count in enumerate(counts) if n not in narrow)
    return [
        PART_UNITS_MIN if n in narrow else round(free * count / max(wide, 1), 3)
        for n, count in enumerate(counts)
    ]
