"""What the templates show of a job's log: a page of lines, and the addresses around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from joblot.errors import InvalidInput
from joblot.ledger.read.log_lines import LogPage
from joblot.ledger.read.log_lines import logs as read_logs
from joblot.ledger.read.overview import LINES_SHOWN
from joblot.ledger.rows.log import LEVELS
from joblot.shown import shown
from joblot.wire import ITEM_MAX

Json = dict[str, Any]

BIGINT_MAX = 2**63 - 1
SEARCH_CHARS_MAX = 200
FIELDS = ("level", "search", "item")


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines of a log the address names."""

    level: str = ""
    search: str = ""
    item: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, str]) -> LogFilter:
        """Raises InvalidInput."""
        return cls(
            given.get("level", ""),
            given.get("search", "")[:SEARCH_CHARS_MAX],
            _number("item", given.get("item", ""), ITEM_MAX),
        )

    @property
    def given(self) -> dict[str, str]:
        """The parameters of an address that name it; none if it is all lines."""
        item = "" if self.item is None else str(self.item)
        fields = zip(FIELDS, (self.level, self.search, item), strict=True)
        return {name: value for name, value in fields if value}

    @property
    def read(self) -> Json:
        """The arguments of the reader."""
        return {"level": self.level or None, "search": self.search, "item": self.item}


def panel(job_id: int, log_filter: LogFilter, given: Mapping[str, str]) -> Json:
    """What the templates show of a page of the log."""
    before, after = (place(given, name) for name in ("before", "after"))
    if after:
        found = read_logs(job_id, after=after, limit=LINES_SHOWN, **log_filter.read)
        lines, newer = list(found), found.next
        older = lines[0]["id"] if lines else after
    else:
        start: Json = {"before": before} if before else {"newest": True}
        found = read_logs(job_id, **start, limit=LINES_SHOWN, **log_filter.read)
        lines, older = found[::-1], found.next
        newer = (lines[-1]["id"] if lines else None) if before else None
    return shown_lines(job_id, log_filter, lines) | {
        "older_url": _address(job_id, log_filter, before=older),
        "newer_url": _address(job_id, log_filter, after=newer),
        "newest_url": _address(job_id, log_filter) if before or after else "",
        "may_follow": not (before or after),
    }


def newest_panel(job_id: int, log_filter: LogFilter, found: LogPage) -> Json:
    """The same for the newest lines, newest first as they were read."""
    return shown_lines(job_id, log_filter, found[::-1]) | {
        "older_url": _address(job_id, log_filter, before=found.next),
        "may_follow": True,
    }


def shown_lines(job_id: int, log_filter: LogFilter, lines: list[Json]) -> Json:
    """Lines, oldest first, and where the page gets those that follow, and all of them."""
    return {
        "lines": lines,
        "filter": log_filter,
        "levels": LEVELS,
        "lines_url": _address(job_id, log_filter, kind="log_lines"),
        "text_url": _address(job_id, log_filter, kind="log_text"),
        "ndjson_url": _address(job_id, log_filter, kind="log_ndjson"),
    }


def _address(job_id: int, log_filter: LogFilter, *, kind: str = "logs", **place: int | None) -> str:
    """Of the filter's lines; "" if it leads behind a place that is None."""
    if None in place.values():
        return ""
    query = urlencode({**log_filter.given, **place})
    where = reverse(f"joblot_web:{kind}", args=[job_id])
    return f"{where}?{query}" if query else where


def place(given: Mapping[str, str], name: str) -> int:
    """The id of a line; 0 if none is named. Raises InvalidInput."""
    return _number(name, given.get(name, ""), BIGINT_MAX) or 0


def _number(name: str, given: str, most: int) -> int | None:
    if not given:
        return None
    if given.isascii() and given.isdigit() and len(given) < 20 and int(given) <= most:
        return int(given)
    raise InvalidInput(f"{name}: expected a whole number, got {shown(given, 40)}")
