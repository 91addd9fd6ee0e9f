"""Throughput as SVG, by attributes only, as the content security policy requires. Pure."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT, GAP = 600, 120, 1

_BAR = '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>'
_SVG = (
    '<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}" height="{}" '
    'preserveAspectRatio="none"><title>{}</title>{}<polyline class="workers-line" points="{}" '
    'vector-effect="non-scaling-stroke"/></svg>'
)


def of(throughput: dict[str, Any]) -> SafeString | None:
    """Bars of what succeeded and failed, with a line for the workers; None if there is nothing."""
    buckets = throughput["buckets"]
    if not buckets:
        return None
    highest = max(1, *(one["succeeded"] + one["failed"] for one in buckets))
    crew = max(1, *(one["workers"] for one in buckets))
    width = WIDTH / len(buckets)
    bars = [bar for n, one in enumerate(buckets) for bar in _bars(one, n * width, width, highest)]
    line = " ".join(
        f"{(n + 0.5) * width:g},{HEIGHT - one['workers'] / crew * (HEIGHT - 4) - 2:g}"
        for n, one in enumerate(buckets)
    )
    description = _description(throughput)
    return format_html(
        _SVG,
        description,
        WIDTH,
        HEIGHT,
        HEIGHT,
        description,
        format_html_join("", _BAR, bars),
        line,
    )


def _bars(one: dict[str, Any], x: float, width: float, highest: int) -> list[tuple[str, ...]]:
    if one["paused"]:
        return [("paused", f"{x:g}", "0", f"{width:g}", f"{HEIGHT}")]
    bars: list[tuple[str, ...]] = []
    y = float(HEIGHT)
    for name in ("succeeded", "failed"):
        if one[name]:
            height = max(1.5, one[name] / highest * (HEIGHT - 4))
            y -= height
            bars.append((f"s-{name}", f"{x:g}", f"{y:g}", f"{width - GAP:g}", f"{height:g}"))
    return bars


def _description(throughput: dict[str, Any]) -> str:
    buckets = throughput["buckets"]
    succeeded = sum(one["succeeded"] for one in buckets)
    failed = sum(one["failed"] for one in buckets)
    most = max(one["succeeded"] + one["failed"] for one in buckets)
    return (
        f"Throughput: {succeeded:,} succeeded, {failed:,} failed; at most {most:,} in "
        f"{throughput['seconds']:,.0f} s"
    )
