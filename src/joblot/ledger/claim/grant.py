"""Granting: the lease's row, the cut of the queue and the worker's data, at one instant."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from joblot.bounded_json import is_text_too_deep
from joblot.ledger.claim import queue
from joblot.ledger.claim.queue import Piece, StageKey
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import fetch, json_value, moment
from joblot.ledger.db.transactions import connection
from joblot.ledger.rows.items import ItemRow, items_by_number
from joblot.ledger.rows.ranges import Span
from joblot.states import JobStatus


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a lease is for. `items_max` caps the items its owner has in flight; None means no cap.

    `asked` is the hash that identifies the claim made with `idempotency_key`.
    """

    worker: str = ""
    owner: int | None = None
    items_max: int | None = None
    idempotency_key: str | None = None
    asked: bytes | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease that was just granted, with its job and stage as of the grant."""

    token: UUID
    job_id: int
    run: int
    stage: int
    spans: list[Span]
    expires_at: datetime
    job_status: JobStatus
    job_version: int
    config: Any
    trace: str | None
    lease_seconds: float
    stage_name: str
    pipeline: str
    items: list[ItemRow]


def grant(stage: StageKey, pieces: list[Piece], spans: list[Span], holder: Holder) -> Grant | None:
    """Write a lease on `spans`, the open items of `pieces`, and take the pieces out of the queue.

    Returns None and changes nothing if the job is not claimable now, a cap is reached, or the key
    is taken. The caller holds the ranges; this must be a later statement than the one that locked
    them.
    """
    token, size = uuid4(), sum(len(span) for span in spans)
    part = next((piece for piece in pieces if not piece.whole), None)
    rows = fetch(
        connection(),
        "claim/grant_if_claimable",
        token=token,
        job=stage[0],
        stage=stage[1],
        size=size,
        ranges=json.dumps([span.as_list() for span in spans]),
        numbers=[number for span in spans for number in span.numbers],
        worker=holder.worker,
        owner=holder.owner,
        owner_items_max=holder.items_max,
        idempotency_key=holder.idempotency_key,
        asked=holder.asked,
        **_cut(pieces, part),
    )
    if not rows:
        return None
    if not dialect_of(connection()).writes_in_with:
        queue.cut(pieces)
    run, expires_at, status, version, config, trace, seconds, name, pipeline, items = rows[0]
    return Grant(
        token=token,
        job_id=stage[0],
        run=run,
        stage=stage[1],
        spans=spans,
        expires_at=moment(expires_at),
        job_status=JobStatus(status),
        job_version=version,
        config=json_value(config),
        trace=trace,
        lease_seconds=seconds,
        stage_name=name,
        pipeline=pipeline,
        items=_granted_items(stage[0], spans, items),
    )


def _granted_items(job_id: int, spans: list[Span], items: str) -> list[ItemRow]:
    """The items of `[[number, key, payload], …]`, by number.

    Where payloads are part of this text and one is nested too deep to be read, each item is read
    separately, so that the others can be read.
    """
    if dialect_of(connection()).nests_json_as_text:
        rows = [ItemRow(number, key, json_value(text)) for number, key, text in json.loads(items)]
    elif is_text_too_deep(items, around=2):
        return items_by_number(job_id, (number for span in spans for number in span.numbers))
    else:
        rows = [ItemRow(*item) for item in json.loads(items)]
    return sorted(rows, key=lambda row: row.number)


def _cut(pieces: list[Piece], part: Piece | None) -> dict[str, Any]:
    """The ranges to delete from the queue, and the one that is cut, if any."""
    if not dialect_of(connection()).writes_in_with:
        return {}
    return {
        "whole": [piece.source.id for piece in pieces if piece.whole],
        "part": part and part.source.id,
        "next": part and part.span.last + 1,
    }
