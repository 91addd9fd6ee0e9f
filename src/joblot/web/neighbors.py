"""The strip of an item's neighbors: the part of the map around it, as SVG that needs no script."""

from __future__ import annotations

from collections import Counter

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from joblot.ledger.read.picture import Picture
from joblot.web.map_panel import words_of

CELL = 20  # units, as many pixels at most
GAP = 2
MARK = 6  # the height of the mark below the item itself

_CELL = (
    '<rect class="s-{0}" x="{1}" y="1" width="{2}" height="{2}"/>'
    '<text class="on-{0}" x="{3}" y="{4}">{5}</text>'
)


def strip(picture: Picture, number: int) -> SafeString:
    """A cell for each item of the picture, with a mark below the one with this number."""
    cells = [words_of(picture.meanings[code]) for code in picture.cells]
    middle = (number - picture.first) * CELL + CELL // 2
    return format_html(
        '<svg class="neighbors" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}">{}'
        '<path class="mark" d="M{} {}l{} {}h{}z"/></svg>',
        summary(picture),
        len(cells) * CELL,
        CELL + MARK + 2,
        len(cells) * CELL,
        format_html_join("", _CELL, (_place(n, *shown) for n, shown in enumerate(cells))),
        *(middle, CELL + 1, MARK, MARK, -2 * MARK),
    )


def summary(picture: Picture) -> str:
    """`Items 10 to 50: 39 succeeded, 2 failed`."""
    counts = Counter(words_of(picture.meanings[code]).word for code in picture.cells)
    last = picture.first + len(picture.cells) - 1
    parts = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    return f"Items {picture.first:,} to {last:,}: {parts}"


def _place(n: int, word: str, glyph: str, color: str) -> tuple[object, ...]:
    return (color, n * CELL + GAP // 2, CELL - GAP, n * CELL + CELL // 2, CELL // 2, glyph)
