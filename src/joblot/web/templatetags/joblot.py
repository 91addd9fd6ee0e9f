"""The tags and filters that all templates of joblot have without loading them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from joblot.ledger.read.acts import Act
from joblot.states import JobStatus
from joblot.web import bars
from joblot.web.assets import asset_url
from joblot.words import ITEMS, STATES, STATUSES, Shown

register = template.Library()
register.simple_tag(asset_url, name="asset")

_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@register.simple_tag
def status(name: str) -> SafeString:
    """A job's status, which follows its snapshots: sign and word."""
    shown = STATUSES[JobStatus(name)]
    return format_html(
        '<span class="status"><span class="glyph g-{}" aria-hidden="true" data-f-glyph="shown">{}'
        '</span> <span data-f="shown.word">{}</span></span>',
        shown.color,
        shown.glyph,
        shown.word,
    )


@register.simple_tag
def state(name: str) -> SafeString:
    """An item's state: sign and word."""
    return _shown(STATES[name])


@register.simple_tag
def part(name: str) -> SafeString:
    """An item's state in a stage, or how a try ended: sign and word."""
    return _shown(ITEMS[name])


@register.simple_tag
def word(name: str) -> SafeString:
    """A job's status at a time that is over: sign and word."""
    return _shown(STATUSES[JobStatus(name)])


def _shown(shown: Shown) -> SafeString:
    return format_html(
        '<span class="status"><span class="glyph g-{}" aria-hidden="true">{}</span> {}</span>',
        shown.color,
        shown.glyph,
        shown.word,
    )


@register.simple_tag
def bar(counts: Mapping[str, int], height: int = 8, stage: int | None = None) -> SafeString:
    return bars.bar(counts, height=height, stage=stage)


@register.simple_tag
def live_root(job: Mapping[str, Any]) -> SafeString:
    """The attributes of the element whose fields follow the job; see assets/live.js."""
    return format_html(
        ' data-live="{}" data-snapshot="{}" data-key="{}" data-as-of="{}"',
        reverse("joblot_web:live", args=[job["id"]]),
        reverse("joblot_web:snapshot", args=[job["id"]]),
        job["key"],
        job["as_of"],
    )


@register.simple_tag
def acts_of(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What people can do to the job, in the order of its buttons."""
    return [
        {
            "act": act.value,
            "word": act.value.capitalize(),
            "url": reverse(f"joblot_web:{act.value}", args=[job["id"]]),
            "refusal": job["acts"][act],
            "is_danger": act in (Act.CANCEL, Act.DELETE),
        }
        for act in Act
    ]


@register.filter
def second(value: str) -> str:
    """The time of day; a script shows it in local time where the person prefers that."""
    return f"{_moment(value):%H:%M:%S} UTC"


@register.filter
def number(value: float | None) -> str:
    """1,234,567; a dash for what is not known."""
    return "–" if value is None else f"{value:,}"


@register.filter
def rounded(value: float) -> str:
    """About: one decimal below ten, none from there on."""
    return f"{value:,.1f}".removesuffix(".0") if value < 10 else f"{value:,.0f}"


@register.filter
def percent(value: float) -> str:
    """Rounded down to tenths, so 100 means all of them."""
    return f"{math.floor(value * 10) / 10:g} %"


@register.filter
def duration(seconds: float | None) -> str:
    """Two units at most: 2 h 10 min."""
    if seconds is None:
        return "–"
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in _STEPS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if part[0] != "0") or "0 s"


@register.simple_tag
def ago(value: datetime | str | None, as_of: datetime | str) -> SafeString:
    """How long before `as_of`, with the moment itself as its title."""
    if value is None:
        return SafeString("–")
    at = _moment(value)
    seconds = (_moment(as_of) - at).total_seconds()
    text = f"{duration(seconds)} ago" if seconds >= 1 else "now"
    return _time(at, text, kind="ago")


@register.simple_tag
def age(value: datetime | str, as_of: datetime | str) -> SafeString:
    """How old something is: the larger unit alone."""
    at = _moment(value)
    text = duration((_moment(as_of) - at).total_seconds())
    return _time(at, " ".join(text.split()[:2]), kind="age")


@register.simple_tag
def at(value: datetime | str | None) -> SafeString:
    """The moment, in UTC; a script shows it in local time where the person prefers that."""
    if value is None:
        return SafeString("–")
    moment = _moment(value)
    return _time(moment, f"{moment:%Y-%m-%d %H:%M:%S} UTC", kind="at")


@register.simple_tag
def clock(value: datetime | str) -> SafeString:
    """The time of day of a moment that is near: 16:14."""
    moment = _moment(value)
    return _time(moment, f"{moment:%H:%M}", kind="clock")


@register.simple_tag
def soon(value: datetime | str | None, field: str) -> SafeString:
    """The same of a moment that follows the job, and may become known or unknown."""
    moment = _moment(value) if value else None
    return format_html(
        '<time datetime="{}" data-time="clock" data-f="{}" data-as="minute" '
        'data-f-attr="datetime:{}">{}</time>',
        moment.isoformat(timespec="seconds") if moment else "",
        field,
        field,
        f"{moment:%H:%M}" if moment else "–",
    )


def _time(moment: datetime, text: str, *, kind: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}" data-time="{}">{}</time>',
        moment.isoformat(timespec="milliseconds"),
        f"{moment:%Y-%m-%d %H:%M:%S} UTC",
        kind,
        text,
    )


def _moment(value: datetime | str) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
