"""The limits of a pipeline: its rate, and how many of its items may be in flight."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from joblot import clock
from joblot.ledger.db.transactions import alias, durable, knowing, repeated
from joblot.ledger.read.pipelines import Row, pipeline_row
from joblot.ledger.rows.author import Author, author_of
from joblot.ledger.rows.claimable import note_claimable
from joblot.ledger.rows.names import checked_name
from joblot.models import PipelineLimit
from joblot.policy import PipelinePolicy

logger = logging.getLogger("joblot.ledger")


@knowing(lambda: "editing again is safe")
def edit_pipeline(
    pipeline: str, *, policy: Mapping[str, Any], actor: str = "", reason: str = ""
) -> Row:
    """Change the limits that all jobs of a pipeline share; returns its row, as of `pipelines`.

    `policy` contains only what changes: `rate_items_max` items are granted in any `rate_seconds`,
    and `in_flight_items_max` are in flight at a time; None removes a limit. A change binds every
    claim that begins after it. The pipeline need not exist yet. Raises InvalidInput, InvalidPolicy.
    """
    by = author_of(actor, reason)
    _edit_once(checked_name(pipeline, "pipeline"), policy, by)
    note_claimable()
    found = pipeline_row(pipeline)
    logger.info("the limits of pipeline %r are %s now", pipeline, found["policy"])
    return found


@repeated
def _edit_once(pipeline: str, changes: Mapping[str, Any], by: Author) -> None:
    """Locks the pipeline's limit, as claims do."""
    with durable():
        rows = PipelineLimit.ledger.using(alias())
        default = PipelinePolicy()
        new = PipelineLimit(pipeline=pipeline, rate_seconds=default.rate_seconds, seconds=1.0)
        rows.bulk_create([new], ignore_conflicts=True)
        row = rows.select_for_update().get(pk=pipeline)
        policy = policy_of(row).edited(changes)
        rows.filter(pk=pipeline).update(
            **policy.as_json(),
            next_at=None,  # a hint, which the next claim determines again
            changed_at=clock.now(),
            changed_by=by.actor,
            reason=by.reason,
        )


def policy_of(row: PipelineLimit) -> PipelinePolicy:
    return PipelinePolicy(row.in_flight_items_max, row.rate_items_max, row.rate_seconds)
