"""The table of a job's stages: each number leads to exactly the items that it counts. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from joblot.words import PARTS

Json = dict[str, Any]

_CANCELED = ("cancelled_before_start", "cancelled_in_flight", "finished_after_cancel")


class Cell(NamedTuple):
    part: str
    word: str
    items: int
    query: str  # of the list with these items


class Row(NamedTuple):
    stage: Json
    cells: list[Cell]
    adds_up: bool


def parts_of(job: Json) -> list[str]:
    """The columns: those of a canceled job only where there is something to divide."""
    is_canceled = job["status"] == "REVOKED"
    hidden = {"not_reached", "ready", "waiting", "in_flight"} if is_canceled else set(_CANCELED)
    if len(job["stages"]) == 1:
        hidden |= {"not_reached", "skipped"}
    return [part for part in PARTS if part not in hidden]


def rows_of(job: Json) -> list[Row]:
    parts = parts_of(job)
    return [
        Row(
            stage,
            [
                Cell(
                    part,
                    PARTS[part].word,
                    stage[part],
                    urlencode({"stage": stage["name"], "state": part}),
                )
                for part in parts
            ],
            sum(stage[part] for part in parts) == stage["total"],
        )
        for stage in job["stages"]
    ]
