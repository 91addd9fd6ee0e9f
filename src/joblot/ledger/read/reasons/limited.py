"""Items that are ready, and wait for a limit: of their job, or of their pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from joblot.ledger.db.transactions import alias
from joblot.ledger.read.reasons.reason import Asked, Reason, reason
from joblot.ledger.rows.job import policy_of
from joblot.ledger.rows.pipelines import items_in_flight
from joblot.models import PipelineLimit, Rate
from joblot.shown import at, counted, counted_and


def of_job(asked: Asked, items: int) -> Reason | None:
    """Why a job grants none of these items now; None if its own limits allow it."""
    leased = sum(stage["in_flight"] for stage in asked.stages)
    cap = policy_of(asked.job).in_flight_items_max
    if cap is not None and leased >= cap:
        text = (
            f"{counted_and(items, 'item', 'is', 'are')} ready, but {leased:,} are in flight, "
            f"and no more than {cap:,} may be (in_flight_items_max)"
        )
        return reason("at_limit", text, items)
    return _at_rate(asked, items)


def _at_rate(asked: Asked, items: int) -> Reason | None:
    """That no item may be granted before its time, by the job's rate limit."""
    policy = policy_of(asked.job)
    if policy.rate_items_max is None:
        return None
    exhausted = Rate.ledger.using(alias()).filter(pk=asked.job.pk, next_at__gt=asked.now)
    until = exhausted.values_list("next_at", flat=True).first()
    if until is None:
        return None
    text = (
        f"{counted_and(items, 'item', 'is', 'are')} ready, but no more than "
        f"{counted(policy.rate_items_max, 'item')} may be given out in {policy.rate_seconds:g} s "
        f"(rate_items_max); the next one at {at(until, asked.now)}"
    )
    return reason("at_rate", text, items, until=until)


def of_pipelines(asked: Asked, ready: Mapping[int, int]) -> Iterator[tuple[int, Reason]]:
    """The stages whose pipelines grant nothing now, by their position, and why.

    The pipeline's other jobs may be of projects that the caller can't see: they are not counted.
    """
    names = {asked.stages[position]["pipeline"] for position in ready}
    rows = PipelineLimit.ledger.using(alias()).filter(pk__in=names)
    limits = {row.pipeline: row for row in rows}
    for position, items in ready.items():
        row = limits.get(asked.stages[position]["pipeline"])
        if row is not None and (found := _of_pipeline(asked, row, items)) is not None:
            yield position, found


def _of_pipeline(asked: Asked, row: PipelineLimit, items: int) -> Reason | None:
    wait = f"{counted_and(items, 'item', 'waits', 'wait')}: pipeline '{row.pipeline}'"
    if row.next_at is not None and row.next_at > asked.now and row.rate_items_max is not None:
        text = (
            f"{wait} gives out at most {counted(row.rate_items_max, 'item')} in "
            f"{row.rate_seconds:g} s, over all of its jobs; the next one at "
            f"{at(row.next_at, asked.now)}"
        )
        return reason("pipeline_at_rate", text, items, until=row.next_at)
    cap = row.in_flight_items_max
    if cap is not None and items_in_flight(row.pipeline) >= cap:
        has = f"has {counted(cap, 'item')} in flight, over all of its jobs"
        text = f"{wait} {has}, and may have no more (in_flight_items_max)"
        return reason("pipeline_at_limit", text, items)
    return None
