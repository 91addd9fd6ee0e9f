"""The results of a job in any status: each item with its state, output, metrics and error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from joblot.config import limits
from joblot.errors import NotFound
from joblot.ledger.read.items import Page, items
from joblot.ledger.rows.outputs import output_of
from joblot.states import ItemState

Row = dict[str, Any]


def results(
    job_id: int, *, state: str | None = None, stage: str | None = None, after: int = -1
) -> Iterator[Row]:
    """The result of every item by number: `{"item", "key", "state", "output", "metrics", "error"}`.

    Without a `stage`, a result is that of the last stage, or of the one in which the item failed or
    was lost; an item that is still open there has no output. `state` is as in `items`. Streams in
    bounded memory. Each page is one snapshot, not the whole stream. Raises NotFound, InvalidInput.
    """
    following: int | None = after
    while following is not None:
        page = results_page(job_id, state=state, stage=stage, after=following)
        yield from page
        following = page.next


def results_page(
    job_id: int, *, state: str | None = None, stage: str | None = None, after: int = -1
) -> Page:
    """A page of `results`; it ends early if its outputs are larger than `results_page_bytes`."""
    found = items(job_id, state=state, stage=stage, after=after, limit=limits().results_page_items)
    page = Page()
    page.as_of, page.next = found.as_of, found.next
    size = 0
    for item in found:
        row, more = _row(item, stage)
        page.append(row)
        size += more
        if size > limits().results_page_bytes and item is not found[-1]:
            page.next = item["id"]
            break
    return page


def _row(item: Row, stage: str | None) -> tuple[Row, int]:
    """A result, and the bytes of its output if a file was read for it."""
    outcome = _outcome(item, stage)
    output, error, size = None, None, 0
    if outcome is not None:
        output, error, size = _output(outcome)
    row = {
        "item": item["id"],
        "key": item["key"],
        "state": _state(item, stage, outcome),
        "output": output,
        "metrics": {} if outcome is None else outcome["metrics"],
        "error": error,
    }
    return row, size


def _outcome(item: Row, stage: str | None) -> Row | None:
    """The outcome in the stage; without a stage, the one that settled the item."""
    if stage is None:
        return item["outcomes"][-1] if item["state"] != "open" else None
    return next((one for one in item["outcomes"] if one["stage"] == stage), None)


def _state(item: Row, stage: str | None, outcome: Row | None) -> str:
    if stage is None or outcome is not None:
        return str(item["state"] if outcome is None else outcome["state"])
    given_up = item["state"] in ("failed", "lost")
    return (ItemState.SKIPPED if given_up else ItemState.OPEN).name.lower()


def _output(outcome: Row) -> tuple[Any, Any, int]:
    """The output, wherever it is stored, the error, and the bytes read from a file."""
    if outcome["output_ref"] is None:
        return outcome["output"], outcome["error"], 0
    try:
        output = output_of(None, outcome["output_ref"])
    except NotFound as error:
        return None, {"type": "NotFound", "message": str(error)}, 0
    return output, outcome["error"], len(json.dumps(output))
