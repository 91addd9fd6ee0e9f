"""An event as a line of the job's log: its level, and a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from joblot.models import Event
from joblot.policy_words import OF_POLICY, label_of
from joblot.shown import counted
from joblot.states import JobStatus
from joblot.words import quoted

_LEVELS = {
    "canceling": "warning",
    "failing": "warning",
    "halted": "error",
    "SUCCESS": "info",
    "COMPLETED_WITH_ERRORS": "warning",
    "FAILURE": "error",
    "REVOKED": "warning",
}


def level_of(event: Event) -> str:
    status = event.data.get("status") if event.kind in ("finished", "amended") else event.kind
    return _LEVELS.get(str(status), "info")


def sentence(event: Event) -> str:
    """What happened, who asked for it and why, and the details: `paused by ana: disk full`."""
    happened, details = _TEXTS.get(event.kind, _plain)(event)
    by = f" by {event.actor}" if event.actor else ""
    reason = f": {event.reason}" if event.reason else ""
    return f"{happened}{by}{reason}" + (f" ({details})" if details else "")


_Text = tuple[str, str]


def _plain(event: Event) -> _Text:
    return event.kind, ""


def _started(event: Event) -> _Text:
    return "started" if event.run == 1 else f"run {event.run} started", ""


def _edited(event: Event) -> _Text:
    changes = (
        f"{label_of(field)} from {_value(before)} to {_value(after)}"
        for field, (before, after) in event.data.items()
    )
    return "edited", "; ".join(changes)


def _value(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _failing(event: Event) -> _Text:
    return "failing", f"{counted(_given_up(event), 'item')} failed or lost"


def _halted(event: Event) -> _Text:
    done = "canceled" if event.data["status"] == JobStatus.CANCELING else "paused"
    limit = f"{label_of(OF_POLICY + event.data['limit'])} {event.data['allowed']:g}"
    return f"halted and {done}", f"{counted(_given_up(event), 'item')} failed or lost; {limit}"


def _given_up(event: Event) -> int:
    return sum(stage["failed"] + stage["lost"] for stage in event.data.get("stages", []))


def _ended(event: Event) -> _Text:
    return f"ended as {quoted(event.data['status'])}", _report(event.data)


def _amended(event: Event) -> _Text:
    return f"amended to {quoted(event.data['status'])}", _report(event.data)


def _report(data: Mapping[str, Any]) -> str:
    stages = data.get("stages")
    if not stages:
        return ""
    return f"{stages[-1]['succeeded']:,} of {counted(data['total'], 'item')} succeeded"


_TEXTS: Mapping[str, Callable[[Event], _Text]] = {
    "started": _started,
    "claimed": lambda event: ("the first lease was granted", ""),
    "canceling": lambda event: ("canceled", ""),
    "reopened": lambda event: ("retried", counted(event.data["items"], "item")),
    "retried": lambda event: (f"retried, as run {event.run}", ""),
    "sealed": lambda event: ("sealed", counted(event.data.get("total", 0), "item")),
    "edited": _edited,
    "failing": _failing,
    "halted": _halted,
    "finished": _ended,
    "amended": _amended,
}
