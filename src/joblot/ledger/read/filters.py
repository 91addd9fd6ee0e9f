"""Filters of jobs and of items, as a query string spells them. Pure.

A list is `a,b`; a time is ISO 8601, or how long ago, such as `15m`, `12h`, `7d` or `2w`; a range is
`a-b`, `a-` or `-b`. An unknown parameter or value is an error that names those allowed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from joblot.canonical import is_storable
from joblot.errors import InvalidInput
from joblot.shown import shown
from joblot.states import JobStatus
from joblot.wire import ITEM_MAX

When = datetime | timedelta  # a moment, or how long ago

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"([0-9]{1,5})([mhdw])")
_RANGE = re.compile(r"([0-9]{1,10})?-([0-9]{1,10})?|([0-9]{1,10})")
_LIST_MAX = 100
_TEXT_CHARS_MAX = 512

ME = "me"  # the owner that asks
SORTS = ("-created", "created", "name", "-name")

# The states of an item in a stage that a filter may name. The last three divide the items that a
# canceled job left open.
STATES = (
    *("open", "ready", "waiting", "in_flight", "not_reached"),
    *("succeeded", "failed", "lost", "skipped"),
    *("cancelled_before_start", "cancelled_in_flight", "finished_after_cancel"),
)
OF_A_STAGE = frozenset(STATES) - {"open", "succeeded", "failed", "lost", "skipped"}
# The other receipts leave no trace of their own: the item has the result that counts.
RECEIPTS = ("counted", "requeued", "late", "conflicting")


@dataclass(frozen=True, slots=True)
class Bounds:
    """From `first` to `last`, inclusive; None for an open end."""

    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class JobFilters:
    """Which jobs, in which order, and where the page begins. An empty tuple means all."""

    status: tuple[JobStatus, ...] = ()
    project: tuple[str, ...] = ()
    pipeline: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    q: str = ""
    since: When | None = None
    until: When | None = None
    sort: str = "-created"
    after: tuple[Any, int] | None = None

    @classmethod
    def of(cls, given: Mapping[str, str], *, me: Collection[str] = ()) -> JobFilters:
        """From the parameters of a query; the owner `me` has these names. Raises InvalidInput."""
        _require_known(given, cls)
        sort = _one_of("sort", given.get("sort") or "-created", SORTS)
        return cls(
            status=tuple(JobStatus(one) for one in _statuses(given.get("status", ""))),
            project=_list("project", given.get("project", "")),
            pipeline=_list("pipeline", given.get("pipeline", "")),
            owner=_owners(given.get("owner", ""), me),
            q=_text("q", given.get("q", "")),
            since=_when("since", given.get("since", "")),
            until=_when("until", given.get("until", "")),
            sort=sort,
            after=_cursor(given.get("after", ""), sort),
        )

    def cursor(self, job: Mapping[str, Any]) -> str:
        """The `after` of the page behind this job."""
        value = job["name"] if self.sort.lstrip("-") == "name" else None
        text = json.dumps([value, job["id"]], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class ItemFilters:
    """Which items of a job. `attempt` is how often an item was tried."""

    stage: str | None = None
    state: str | None = None
    cause: str | None = None
    worker: str | None = None
    receipt: str | None = None
    attempt: Bounds = Bounds()
    range: Bounds = Bounds()
    q: str = ""
    after: int = -1

    @classmethod
    def of(cls, given: Mapping[str, str]) -> ItemFilters:
        """From the parameters of a query. Raises InvalidInput."""
        _require_known(given, cls)
        state, receipt = given.get("state"), given.get("receipt")
        return cls(
            stage=_text("stage", given.get("stage", "")) or None,
            state=_one_of("state", state.lower(), STATES) if state else None,
            cause=_text("cause", given.get("cause", "")) or None,
            worker=_text("worker", given.get("worker", "")) or None,
            receipt=_one_of("receipt", receipt, RECEIPTS) if receipt else None,
            attempt=_bounds("attempt", given.get("attempt", "")),
            range=_bounds("range", given.get("range", "")),
            q=_text("q", given.get("q", "")),
            after=_number("after", given.get("after", "")),
        )

    @property
    def narrows(self) -> bool:
        """True if more than the stage, the state and the range must match."""
        return bool(self.worker or self.receipt or self.q or self.attempt != Bounds())


def _require_known(given: Mapping[str, str], filters: type) -> None:
    known = list(filters.__dataclass_fields__)  # type: ignore[attr-defined]
    if unknown := sorted(set(given) - set(known)):
        raise InvalidInput(f"{shown(unknown[0])}: expected a parameter of {', '.join(known)}")


def _one_of(name: str, given: str, allowed: Collection[str]) -> str:
    if given not in allowed:
        raise InvalidInput(f"{name}: expected one of {', '.join(allowed)}, got {shown(given)}")
    return given


def _statuses(given: str) -> list[str]:
    allowed = [one.value for one in JobStatus]
    return [_one_of("status", one.upper(), allowed) for one in _list("status", given)]


def _owners(given: str, me: Collection[str]) -> tuple[str, ...]:
    names = _list("owner", given)
    return tuple(name for one in names for name in (me if one == ME and me else (one,)))


def _list(name: str, given: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in given.split(",") if part.strip())
    if len(parts) > _LIST_MAX:
        raise InvalidInput(f"{name}: expected at most {_LIST_MAX} values, got {len(parts)}")
    return tuple(_text(name, part) for part in parts)


def _text(name: str, given: str) -> str:
    if len(given) > _TEXT_CHARS_MAX or not is_storable(given):
        raise InvalidInput(
            f"{name}: expected text of at most {_TEXT_CHARS_MAX} characters, without U+0000, "
            f"got {shown(given)}"
        )
    return given


def _when(name: str, given: str) -> When | None:
    if not given:
        return None
    if ago := _AGO.fullmatch(given):
        return timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{name}: expected a time such as 2026-11-24 or 2026-11-24T12:00Z, or how long ago, "
            f"such as 15m, 12h, 7d or 2w, got {shown(given)}"
        ) from None


def _bounds(name: str, given: str) -> Bounds:
    if not given:
        return Bounds()
    found = _RANGE.fullmatch(given)
    ends = [None if one is None else int(one) for one in found.groups()] if found else []
    if not found or given == "-" or any(end is not None and end > ITEM_MAX for end in ends):
        raise InvalidInput(
            f"{name}: expected a range such as 3-, -7 or 480000-490000, got {shown(given)}"
        )
    first, last, single = ends
    return Bounds(first, last) if single is None else Bounds(single, single)


def _number(name: str, given: str) -> int:
    if not given or given == "-1":
        return -1
    if given.isascii() and given.isdigit() and len(given) <= 10 and int(given) <= ITEM_MAX:
        return int(given)
    raise InvalidInput(f"{name}: expected the number of an item, got {shown(given)}")


def _cursor(given: str, sort: str) -> tuple[Any, int] | None:
    if not given:
        return None
    try:
        text = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))
        value, job_id = json.loads(text)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        value, job_id = None, None
    wanted = str if sort.lstrip("-") == "name" else type(None)
    is_valid = isinstance(job_id, int) and not isinstance(job_id, bool) and 0 < job_id < 2**63
    if not is_valid or not isinstance(value, wanted) or not is_storable(str(value)):
        raise InvalidInput(
            "after: expected the cursor that the page before gave for this sort; "
            "leave it out to begin with the first page"
        )
    return value, job_id
