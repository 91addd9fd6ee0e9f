"""The snapshot of a job that a page shows and then follows: all its numbers from one read.

Snapshots are ordered by their `key`, `run.revision.microseconds` by the database's clock. So a
viewer that reconnects, perhaps to another process, can drop what is older than what it has shown.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

from joblot.errors import InvalidInput
from joblot.ledger.db.transactions import one_snapshot, repeated
from joblot.ledger.read.acts import Act, acts
from joblot.ledger.read.eta import eta_of
from joblot.ledger.read.filters import JobFilters
from joblot.ledger.read.listing import matching
from joblot.ledger.read.pace import paces
from joblot.ledger.read.partition import parts_of
from joblot.ledger.read.progress import progress, progress_of
from joblot.ledger.read.reasons.reason import NOBODY
from joblot.ledger.read.why import reasons_of
from joblot.sentences import at_least, basis, of, settled_of, standing
from joblot.shown import shown
from joblot.states import TERMINAL, JobStatus
from joblot.words import STATUSES

NEWER_MAX = 100

_KEY = re.compile(r"(\d{1,10})\.(\d{1,10})\.(\d{1,18})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ESTIMATE = ("kind", "text", "p50_at", "p90_at")
_SHOWN = ("id", "run", "revision", "status", "sealed", "finishing", "total", "percent")


class Key(NamedTuple):
    """When a snapshot was read: the later of two compares greater."""

    run: int
    revision: int
    microseconds: int

    @classmethod
    def of(cls, state: dict[str, Any]) -> Self:
        read_at = datetime.fromisoformat(state["as_of"])
        return cls(state["run"], state["revision"], (read_at - _EPOCH) // timedelta(microseconds=1))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidInput."""
        found = _KEY.fullmatch(text)
        if found is None:
            raise InvalidInput(
                f"last_event_id: expected run.revision.microseconds, got {shown(text, 60)}"
            )
        return cls(*map(int, found.groups()))

    def __str__(self) -> str:
        return ".".join(map(str, self))


@repeated
@one_snapshot()
def snapshot(job_id: int) -> dict[str, Any]:
    """The job's counts by stage, and why it is not finished, as of one instant. Raises NotFound.

    All viewers of the job may see it: of the workers, it names only those that hold its leases.
    """
    found = progress(job_id)
    state, reasons = parts_of(found), reasons_of(found, owner=NOBODY)
    eta = eta_of(state)
    return {
        **_numbers(state),
        "standing": standing(state),
        "eta": {**{name: eta[name] for name in _ESTIMATE}, "basis": basis(eta)},
        "why": [_reason(one) for one in reasons],
        "acts": acts(state),
    }


@repeated
def snapshots(job_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Some jobs for a list, as of one instant, with their pace, without reasons and acts; none for
    missing jobs. Two statements, however many jobs.
    """
    found = progress_of(job_ids)
    pace = paces(found)
    return [
        {
            **_numbers(state),
            "project": state["project"],
            "of": of(state),
            "at_least": at_least(state),
            "pace": pace[state["id"]]._asdict(),
        }
        for state in found
    ]


@repeated
def newer_jobs(job_id: int, filters: JobFilters, *, projects: Collection[str] | None = None) -> int:
    """How many jobs that match are newer than this one; counted to 100."""
    rows = matching(filters, projects, filters.status).filter(pk__gt=job_id)
    return int(rows[:NEWER_MAX].count())


def _numbers(state: dict[str, Any]) -> dict[str, Any]:
    stages = [_stage(stage) for stage in state["stages"]]
    return {
        "key": str(Key.of(state)),
        **{name: state[name] for name in _SHOWN},
        "shown": STATUSES[JobStatus(state["status"])]._asdict(),
        "settled": min(stage["settled"] for stage in stages),
        "unsettled": state["total"] - stages[-1]["settled"],
        "not_well": sum(stage["failed"] + stage["lost"] for stage in stages),
        "stages": stages,
        "is_final": state["status"] in TERMINAL and not state["finishing"],
        "as_of": state["as_of"],
    }


def _reason(reason: dict[str, Any]) -> dict[str, Any]:
    """Without an act that is not one of a page's, such as a repair."""
    kept: dict[str, Any] = {
        name: reason[name] for name in ("code", "text", "act", "link") if name in reason
    }
    if kept.get("act") not in set(Act):
        kept.pop("act", None)
    return kept


def _stage(stage: dict[str, Any]) -> dict[str, Any]:
    """The counts; what is `not_reached` is still in an earlier stage."""
    kept = {name: value for name, value in stage.items() if name not in ("pipeline", "metrics")}
    settled = settled_of(stage)
    here = stage["ready"] + stage["in_flight"] + stage["cancelled"] + settled
    return {"not_reached": stage["total"] - here, **kept, "settled": settled}
