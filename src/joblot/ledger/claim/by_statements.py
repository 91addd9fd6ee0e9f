"""Taking a range where the database has no functions: several statements, one transaction.

The transaction holds the database's only write lock from its start. So no range is ever locked by
another one, and none has to be waited for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from joblot.ledger.claim import availability, pipeline_limit, queue, rate
from joblot.ledger.claim.candidates import Candidate
from joblot.ledger.claim.grant import Grant, Holder, Taken
from joblot.ledger.claim.queue import StageKey
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection, durable
from joblot.ledger.rows.items import ItemRow, item_row, settled_among
from joblot.ledger.rows.lease import new_token
from joblot.ledger.rows.ranges import ALONE, Span, islands
from joblot.models import ItemRange


@dataclass(frozen=True, slots=True)
class Range:
    """A range of the queue."""

    id: int
    next: int
    last: int
    failures: int
    expiries: int
    returns: int

    def piece(self, items_max: int) -> Piece:
        """Its first items, at most `items_max`."""
        last = min(self.last, self.next + items_max - 1)
        span = Span(self.next, last, self.failures, self.expiries, self.returns)
        return Piece(self, span)


@dataclass(frozen=True, slots=True)
class Piece:
    """What a claim takes from one range."""

    source: Range
    span: Span

    def __len__(self) -> int:
        return len(self.span)

    @property
    def whole(self) -> bool:
        return self.span.last == self.source.last

    @property
    def came_back(self) -> bool:
        """True if another lease once held these items, and may have settled some since."""
        return self.source.returns != 0 or self.source.failures > 0


def take(asked: Sequence[Candidate], limit: int, holder: Holder) -> Taken | None:
    """Claim from the first of these that has a range that is due; None if none has."""
    with durable() as conn:
        candidate, first = _first(asked)
        if first is None:
            return None
        stage = candidate.stage
        left = min(limit, candidate.items_max or limit)
        left = int(min(left, availability.room(holder.owner, holder.items_max)))
        window = rate.window_of(stage[0]) if candidate.rated else None
        allowed = pipeline_limit.of_stage(stage) if candidate.limited else None
        left = min([left, *(one.left for one in (window, allowed) if one is not None)])
        pieces = _pieces(stage, first, left) if left > 0 else []
        spans = _still_open(stage, pieces)
        granted = _grant(candidate, spans, holder) if spans else None
        if spans and granted is None:
            transaction.set_rollback(True, using=conn.alias)
        else:
            _cut(pieces)
            if window is not None:
                rate.write(stage[0], window, sum(map(len, spans)))
            if allowed is not None:
                allowed.spend(sum(map(len, spans)))
    refused = granted is None and (bool(spans) or not pieces)
    return Taken(candidate, granted, refused, allowed is not None and allowed.left == 0)


def _first(asked: Sequence[Candidate]) -> tuple[Candidate, Range | None]:
    walks = [(one, after) for one in asked for after in queue.walks(one.stage)]
    rows = fetch(
        connection(),
        "claim/first_due_range",
        jobs=[one.stage[0] for one, _ in walks],
        stages=[one.stage[1] for one, _ in walks],
        afters=[after for _, after in walks],
    )
    if not rows:
        return asked[0], None
    place, *found = rows[0]
    candidate, first = walks[place - 1][0], Range(*found)
    queue.took(candidate.stage, first.id)
    return candidate, first


def _pieces(stage: StageKey, first: Range, limit: int) -> list[Piece]:
    """Up to `limit` items of this range and, if it is small, of further ranges."""
    pieces = [first.piece(1 if first.returns >= ALONE else limit)]
    left = limit - len(pieces[0])
    if left and first.returns < ALONE:
        for more in _small(stage, first.id, left):
            if left:
                pieces.append(more.piece(left))
                left -= len(pieces[-1])
    return pieces


def _small(stage: StageKey, after: int, items: int) -> list[Range]:
    """Further ranges behind `after`, none larger than `items` or to be leased alone."""
    asked = {"job": stage[0], "stage": stage[1], "after": after, "items": items, "ranges": items}
    return [Range(*row) for row in fetch(connection(), "claim/small_ranges", **asked)]


def _still_open(stage: StageKey, pieces: list[Piece]) -> list[Span]:
    """The pieces as spans, without items that were settled after they returned to the queue."""
    numbers = [n for piece in pieces if piece.came_back for n in piece.span.numbers]
    settled = settled_among(*stage, numbers) if numbers else set()
    if not settled:
        return [piece.span for piece in pieces]
    return [
        piece.span.part(first, last)
        for piece in pieces
        for first, last in islands(n for n in piece.span.numbers if n not in settled)
    ]


def _grant(candidate: Candidate, spans: list[Span], holder: Holder) -> Grant | None:
    """Write a lease on these items. None if the job is not claimable now, a cap is reached, it or
    its pipeline has a limit that the candidate does not know, the worker is revoked or the key is
    taken.
    """
    stage = candidate.stage
    token, size = new_token(), sum(len(span) for span in spans)
    rows = fetch(
        connection(),
        "claim/grant_if_claimable",
        token=token,
        job=stage[0],
        stage=stage[1],
        size=size,
        rated=candidate.rated,
        limited=candidate.limited,
        ranges=json.dumps([span.as_list() for span in spans]),
        numbers=[number for span in spans for number in span.numbers],
        worker=holder.worker,
        owner=holder.owner,
        owner_items_max=holder.items_max,
        idempotency_key=holder.idempotency_key,
        asked=holder.asked,
    )
    if not rows:
        return None
    *known, items = rows[0]
    return Grant.of(token, stage, known, spans=spans, items=_items(items))


def _items(text: str) -> list[ItemRow]:
    """The items of `[[number, key, payload], …]`, whose payloads are text."""
    rows = [item_row(*item) for item in json.loads(text)]
    return sorted(rows, key=lambda row: row.number)


def _cut(pieces: list[Piece]) -> None:
    """Take the pieces out of the queue."""
    ranges = ItemRange.ledger.using(alias())
    if whole := [piece.source.id for piece in pieces if piece.whole]:
        ranges.filter(pk__in=whole).delete()
    for piece in pieces:
        if not piece.whole:
            ranges.filter(pk=piece.source.id).update(next=F("next") + len(piece))
