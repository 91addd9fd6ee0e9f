"""The shapes of items."""

from __future__ import annotations

from typing import Any

from ninja import Schema


class ErrorOut(Schema):
    """`cause` is the same for failures that differ only in details; see `GET …/causes`."""

    type: str | None
    message: str | None
    cause: str | None
    traceback: str


class OutcomeOut(Schema):
    """`amends` is what the item was, failed or lost, if a success took the place of that."""

    stage: str
    state: str
    run: int
    output: Any
    output_ref: str | None
    metrics: dict[str, int]
    error: ErrorOut | None
    settled_at: str
    amends: str | None


class AttemptOut(Schema):
    stage: str
    run: int
    cause: str
    error: ErrorOut
    worker: str
    leased_at: str | None
    at: str


class ItemOut(Schema):
    id: int
    key: str
    payload: Any
    state: str
    outcomes: list[OutcomeOut]
    attempts: list[AttemptOut]


class ItemsQuery(Schema):
    """A filter of items, as texts; `ledger.read.filters` reads them."""

    state: str | None = None
    stage: str | None = None
    cause: str | None = None
    worker: str | None = None
    receipt: str | None = None
    attempt: str | None = None
    range: str | None = None
    q: str | None = None

    def given(self) -> dict[str, str]:
        return self.dict(exclude_none=True)


class ItemProgressOut(Schema):
    """How far its worker was at the last renewal of its lease; `share` is from 0 to 1."""

    share: float | None
    text: str


class StandingOut(Schema):
    stage: str
    state: str
    worker: str = ""
    until: str | None = None
    progress: ItemProgressOut | None = None


class TryOut(Schema):
    """`receipt` is null for a lease that expired: nothing was reported."""

    stage: str
    run: int
    worker: str
    leased_at: str | None
    reported_at: str
    outcome: str
    receipt: str | None
    reason: str
    error: ErrorOut | None


class UncountedOut(Schema):
    stage: str
    run: int
    receipt: str
    reason: str
    worker: str
    output: Any
    output_ref: str | None
    at: str


class ItemDetailOut(ItemOut):
    run: int
    stages: list[StandingOut]
    tries: list[TryOut]
    uncounted: list[UncountedOut]
    previous_failed: int | None
    next_failed: int | None
    as_of: str


class ItemsOut(Schema):
    """`next` is the `after` of the next page, null on the last one. Any page may be short."""

    items: list[ItemOut]
    next: int | None
    as_of: str
