"""The items of a job, a page at a time, with how they stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, OuterRef, Q

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.item_rows import items_by_number
from joblot.ledger.jobs import read_job, stages_of
from joblot.ledger.outputs import output_of
from joblot.ledger.transactions import alias, repeated
from joblot.models import Attempt, Item, Outcome
from joblot.states import ItemState

_SETTLED_HERE = frozenset({ItemState.SUCCEEDED, ItemState.FAILED, ItemState.LOST})


@repeated
def items(
    job_id: int,
    *,
    state: str | None = None,
    stage: str | None = None,
    after: int = -1,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """A page of items by number, each with its outcome in every stage it came through.

    `state` is open, succeeded, failed, lost or skipped, in `stage`; without a stage succeeded
    and open are of the last one, failed and lost of any, skipped of none. The next page is
    `after` the last id. Raises NotFound, InvalidInput.
    """
    read_job(job_id)
    names = [one.name for one in stages_of(job_id)]
    rows = Item.ledger.using(alias()).filter(job_id=job_id, number__gt=after)
    if state is not None:
        rows = rows.filter(_standing(state, _position(names, stage), len(names)))
    page = list(rows.order_by("number")[: max(1, min(limit, limits().page_items_max))])
    return _described(job_id, page, names)


def outputs(job_id: int, *, stage: str | None = None) -> Iterator[tuple[str, Any]]:
    """The key and output of every item that succeeded in `stage` (the last), by number.

    Streams in bounded memory.
    """
    names = [one.name for one in stages_of(job_id)]
    position = _position(names, stage)
    position = len(names) - 1 if position is None else position
    after = -1
    while page := _outputs_page(job_id, position, after):
        yield from ((key, output_of(output, ref)) for _, key, output, ref in page)
        after = page[-1][0]


@repeated
def _outputs_page(job_id: int, position: int, after: int) -> list[tuple[int, str, Any, str | None]]:
    rows = Outcome.ledger.using(alias()).filter(
        job_id=job_id, stage=position, state=ItemState.SUCCEEDED, number__gt=after
    )
    page = list(rows.order_by("number")[: limits().page_items_max])
    keys = {item.number: item.key for item in items_by_number(job_id, [r.number for r in page])}
    return [(row.number, keys[row.number], row.output, row.output_ref) for row in page]


def _position(names: list[str], stage: str | None) -> int | None:
    if stage is None:
        return None
    if stage not in names:
        raise InvalidInput(f"stage: expected one of {', '.join(names)}, got {stage!r:.100}")
    return names.index(stage)


def _standing(state: str, position: int | None, stages_total: int) -> Q:
    try:
        asked = ItemState[state.upper()]
    except KeyError:
        known = ", ".join(one.name.lower() for one in ItemState)
        raise InvalidInput(f"state: expected one of {known}, got {state!r:.100}") from None
    last = stages_total - 1
    if asked is ItemState.SUCCEEDED:
        return Q(_has([asked], stage=last if position is None else position))
    if asked in (ItemState.FAILED, ItemState.LOST):
        return Q(_has([asked], **({} if position is None else {"stage": position})))
    given_up = [ItemState.FAILED, ItemState.LOST]
    upto = stages_total if position is None else position
    skipped = Q(_has(given_up, stage__lt=upto))
    if asked is ItemState.SKIPPED:
        return skipped
    here = last if position is None else position
    return ~Q(_has(list(_SETTLED_HERE), stage=here)) & ~skipped


def _has(states: list[ItemState], **where: Any) -> Exists:
    here = {"job_id": OuterRef("job_id"), "number": OuterRef("number"), "state__in": states}
    return Exists(Outcome.ledger.filter(**here, **where))


def _described(job_id: int, page: list[Any], names: list[str]) -> list[dict[str, Any]]:
    numbers = [item.number for item in page]
    outcomes: dict[int, list[Any]] = {}
    rows = Outcome.ledger.using(alias()).filter(job_id=job_id, number__in=numbers)
    for outcome in rows.order_by("stage"):
        outcomes.setdefault(outcome.number, []).append(outcome)
    tries: dict[int, list[Any]] = {}
    attempts = Attempt.ledger.using(alias()).filter(job_id=job_id, number__in=numbers)
    for attempt in attempts.order_by("id"):
        tries.setdefault(attempt.number, []).append(attempt)
    return [
        {
            "id": item.number,
            "key": item.key,
            "payload": item.payload,
            "state": _state(outcomes.get(item.number, []), len(names)),
            "outcomes": [_outcome(one, names) for one in outcomes.get(item.number, [])],
            "attempts": [_attempt(one, names) for one in tries.get(item.number, [])],
        }
        for item in page
    ]


def _state(outcomes: list[Any], stages_total: int) -> str:
    """The item's state over all stages: what gave it up, or succeeded in the last, or open."""
    for outcome in outcomes:
        if outcome.state != ItemState.SUCCEEDED:
            return ItemState(outcome.state).name.lower()
    return "succeeded" if len(outcomes) == stages_total else "open"


def _outcome(outcome: Any, names: list[str]) -> dict[str, Any]:
    succeeded = outcome.state == ItemState.SUCCEEDED
    return {
        "stage": names[outcome.stage],
        "state": ItemState(outcome.state).name.lower(),
        "run": outcome.run,
        "output": outcome.output,
        "output_ref": outcome.output_ref,
        "metrics": outcome.metrics or {},
        "error": None
        if succeeded
        else {"type": outcome.error_type, "message": outcome.error_message},
        "settled_at": outcome.settled_at.isoformat(),
    }


def _attempt(attempt: Any, names: list[str]) -> dict[str, Any]:
    return {
        "stage": names[attempt.stage],
        "run": attempt.run,
        "cause": attempt.cause,
        "error": {"type": attempt.error_type, "message": attempt.error_message},
        "worker": attempt.worker,
        "at": attempt.at.isoformat(),
    }
