"""A reason: a sentence for people, with what a program needs to show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joblot.models import Job

Reason = dict[str, Any]

NOBODY = -1  # an owner without workers: for an answer that many people share

# Worst first: what is broken, what only a person can change, what changes by itself.
_CODES = (
    *("missing", "overdue", "deferred", "sweep_fails", "kills", "silent", "unserved"),
    "broker_down",
    *("undelivered", "halted", "paused", "not_started", "reopening", "canceling", "finishing"),
    *(
        "at_limit",
        "at_rate",
        "pipeline_at_limit",
        "pipeline_at_rate",
        "in_flight",
        "ready",
        "backing_off",
        "suspect",
        "open",
        "ended",
    ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The job that is asked about, as it is in the snapshot.

    `now` is the database's time. `owner` restricts which workers are named beyond those that hold
    the job's leases; None names all.
    """

    job: Job
    state: dict[str, Any]  # its progress
    now: datetime
    owner: int | None = None

    @property
    def stages(self) -> list[dict[str, Any]]:
        return list(self.state["stages"])


def reason(
    code: str,
    text: str,
    count: int = 0,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    act: str | None = None,
    link: str | None = None,
) -> Reason:
    """`count` is a number of items, 0 for the whole job; `act` is the verb that would help."""
    more = {
        "since": since and since.isoformat(),
        "until": until and until.isoformat(),
        "act": act,
        "link": link,
    }
    return {"code": code, "text": text, "count": count} | {k: v for k, v in more.items() if v}


def worst_first(reasons: list[Reason], rows_max: int) -> list[Reason]:
    """At most `rows_max` reasons, and a line that says how many more there are."""
    ordered = sorted(reasons, key=lambda one: _CODES.index(one["code"]))
    left = len(ordered) - rows_max
    if left <= 0:
        return ordered
    return [*ordered[:rows_max], reason("more", f"and {left} more")]
