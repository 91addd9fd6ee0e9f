"""A child of the crew that echoes the message it gets."""

from __future__ import annotations

from typing import Any

from joblot.testing.crew.child import Parent

HUNG_UP_SECONDS_MAX = 60.0


def main(task: dict[str, Any], parent: Parent) -> None:
    if task.get("fails"):
        raise SystemExit(1)
    parent.send(ready=True)
    if word := parent.wait():
        parent.send(name=task["name"], **word)
        assert parent.hung_up(HUNG_UP_SECONDS_MAX)
