"""Taking a range where the database has functions: one statement, its own transaction.

A refusal is an answer, not a rollback: at a ROLLBACK psycopg drops every prepared statement.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any
from uuid import UUID

from joblot.bounded_json import is_text_too_deep
from joblot.config import limits
from joblot.ledger.claim import queue
from joblot.ledger.claim.candidates import Candidate
from joblot.ledger.claim.grant import Grant, Holder, Taken
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import connection
from joblot.ledger.rows.items import ItemRow, items_by_number
from joblot.ledger.rows.lease import new_token
from joblot.ledger.rows.outputs import readable_output
from joblot.ledger.rows.ranges import Span

ALONE = "alone"  # the outcome of a claim that may hold no other locks: of a job with a rate limit

Walks = Sequence[tuple[Candidate, int]]


def take(asked: Sequence[Candidate], limit: int, holder: Holder, *, wait: bool) -> Taken | None:
    """Claim from the first of these that has a free range; None if none has.

    With `wait`, wait for a range of the first one that another claim holds.
    """
    walks = _waiting(asked[0]) if wait else walks_of(asked)
    token = new_token()
    (row,) = fetch(
        connection(),
        "claim/claim",
        clock=None,
        lock_wait=f"{limits().range_wait_seconds}s" if wait else None,
        token=token,
        **params(walks, limit, holder),
    )
    return taken_of(row, walks, token)


def params(walks: Walks, limit: int, holder: Holder) -> dict[str, Any]:
    """Parameters for the statements that claim."""
    return {
        "jobs": [one.stage[0] for one, _ in walks],
        "stages": [one.stage[1] for one, _ in walks],
        "afters": [after for _, after in walks],
        "wanted": [min(limit, one.items_max or limit) for one, _ in walks],
        "worker": holder.worker,
        "owner": holder.owner,
        "owner_items_max": holder.items_max,
        "key": holder.idempotency_key,
        "asked": holder.asked,
    }


def taken_of(row: Sequence[Any], walks: Walks, token: UUID) -> Taken | None:
    """What the function has returned; None if no range was free."""
    outcome, place, range_id, *granted = row
    if outcome == "none":
        return None
    candidate, _ = walks[place - 1]
    if outcome not in {"granted", "settled"}:
        return Taken(candidate, refused=True, pipeline_refused=outcome == "pipeline_at_limit")
    queue.took(candidate.stage, range_id)
    if outcome == "settled":
        return Taken(candidate)
    return Taken(candidate, _grant(token, candidate, *granted))


def walks_of(asked: Sequence[Candidate]) -> Walks:
    """The stages to search, and behind which id, in order."""
    return [(one, after) for one in asked for after in queue.walks(one.stage)]


def _waiting(best: Candidate) -> Walks:
    return [(best, queue.start(best.stage))]


def _grant(token: UUID, candidate: Candidate, *row: Any) -> Grant:
    *known, spans_text, items_text, inputs_text = row
    job_id, stage = candidate.stage
    spans = [Span(*span) for span in json.loads(spans_text)]
    items = _items(job_id, spans, items_text)
    inputs = _inputs(inputs_text) if stage else {}
    return Grant.of(token, candidate.stage, known, spans=spans, items=items, inputs=inputs)


def _items(job_id: int, spans: list[Span], text: str) -> list[ItemRow]:
    """The items of `[[number, key, payload], …]`, by number; one without a payload has two parts.

    If one of them can't be read, each is read separately, so that the others can be.
    """
    if (items := _read(text)) is not None:
        return [_item(*item) for item in sorted(items, key=itemgetter(0))]
    return items_by_number(job_id, (number for span in spans for number in span.numbers))


def _item(number: int, key: str, *payloads: Any) -> ItemRow:
    payload = payloads[0] if payloads else None
    return ItemRow(number, key, payload, bool(payloads) and payload is None)


def _inputs(text: str | None) -> Mapping[int, Any] | None:
    """The inputs of `[[number, output, its file], …]`; None if one of them can't be read."""
    outputs = _read(text or "[]")
    if outputs is None:
        return None
    return {number: readable_output(output, ref) for number, output, ref in outputs}


def _read(text: str) -> list[list[Any]] | None:
    """A list of lists that end in values of any depth; None if a value can't be read."""
    if is_text_too_deep(text, around=2):
        return None
    try:
        read: list[list[Any]] = json.loads(text)
    except ValueError:
        return None
    return read
