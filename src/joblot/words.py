"""The words, signs and colors of statuses and states, the same on pages, command line and log.

A sign and a word always accompany a color. The colors of the states have their names; the pages
define them in `web/assets/app.css`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from joblot.states import JobStatus


class Shown(NamedTuple):
    word: str
    glyph: str
    color: str  # the state whose color it has


# The states of items, in the order of a bar.
STATES = {
    "succeeded": Shown("succeeded", "✓", "succeeded"),
    "failed": Shown("failed", "✕", "failed"),
    "lost": Shown("lost", "?", "lost"),
    "skipped": Shown("skipped", "↷", "skipped"),
    "cancelled": Shown("canceled", "–", "cancelled"),
    "in_flight": Shown("in flight", "▸", "in_flight"),
    "waiting": Shown("waiting", "◷", "waiting"),
    "ready": Shown("ready", "·", "ready"),
}

# The parts of a stage, as a row of a table divides its items, and other states of an item.
PARTS = {
    "not_reached": Shown("not here yet", "·", "ready"),
    "ready": STATES["ready"],
    "waiting": STATES["waiting"],
    "in_flight": STATES["in_flight"],
    "succeeded": STATES["succeeded"],
    "failed": STATES["failed"],
    "lost": STATES["lost"],
    "skipped": STATES["skipped"],
    "cancelled_before_start": Shown("canceled before start", "–", "cancelled"),
    "cancelled_in_flight": Shown("canceled in flight", "–", "cancelled"),
    "finished_after_cancel": Shown("finished after cancel", "–", "cancelled"),
}
ITEMS = PARTS | {
    "open": Shown("open", "·", "ready"),
    "expired": Shown("lease expired", "?", "lost"),
}

WORKERS = {
    "online": Shown("online", "✓", "succeeded"),
    "quiet": Shown("quiet", "◷", "waiting"),
    "offline": Shown("offline", "✕", "failed"),
}

STATUSES = {
    JobStatus.CREATED: Shown("Not started", "·", "ready"),
    JobStatus.PENDING: Shown("Waiting", "◷", "waiting"),
    JobStatus.STARTED: Shown("Working", "▸", "in_flight"),
    JobStatus.PAUSED: Shown("Paused", "◷", "waiting"),
    JobStatus.CANCELING: Shown("Canceling", "–", "cancelled"),
    JobStatus.SUCCESS: Shown("Succeeded", "✓", "succeeded"),
    JobStatus.COMPLETED_WITH_ERRORS: Shown("Done, not all well", "✕", "failed"),
    JobStatus.FAILURE: Shown("Failed", "✕", "failed"),
    JobStatus.REVOKED: Shown("Canceled", "–", "cancelled"),
}


def status_word(status: str) -> str:
    """`Working`, for the code of a status, as JSON has it."""
    return STATUSES[JobStatus(status)].word


def quoted(status: str) -> str:
    """The same within a sentence."""
    return f"'{status_word(status)}'"


def any_of(statuses: Iterable[JobStatus]) -> str:
    """`'Waiting' or 'Working'`, in the order of a job's life."""
    *first, last = (quoted(one) for one in STATUSES if one in set(statuses))
    return f"{', '.join(first)} or {last}" if first else last
