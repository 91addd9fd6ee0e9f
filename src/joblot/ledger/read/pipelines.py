"""The limits of pipelines, and how much of them is used."""

from __future__ import annotations

from typing import Any

from joblot.ledger.db.transactions import alias, one_snapshot, repeated
from joblot.ledger.rows.pipelines import LIMITED, items_in_flight
from joblot.models import PipelineLimit

Row = dict[str, Any]


@repeated
@one_snapshot()
def pipelines() -> list[Row]:
    """The pipelines that have a limit, by name.

    Each has its `policy`, how many of its items are `in_flight`, until when its rate is exhausted
    (`next_at`, or None), and when, by whom and why it was changed last.
    """
    rows = PipelineLimit.ledger.using(alias()).filter(LIMITED).order_by("pipeline")
    return [_as_json(row) for row in rows]


@repeated
@one_snapshot()
def pipeline_row(pipeline: str) -> Row:
    """One of them, also if its last limit was removed."""
    return _as_json(PipelineLimit.ledger.using(alias()).get(pk=pipeline))


def _as_json(row: PipelineLimit) -> Row:
    return {
        "pipeline": row.pipeline,
        "policy": {
            "in_flight_items_max": row.in_flight_items_max,
            "rate_items_max": row.rate_items_max,
            "rate_seconds": row.rate_seconds,
        },
        "in_flight": items_in_flight(row.pipeline),
        "next_at": row.next_at and row.next_at.isoformat(),
        "changed_at": row.changed_at.isoformat(),
        "changed_by": row.changed_by,
        "reason": row.reason,
    }
