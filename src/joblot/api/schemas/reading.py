"""The shapes of what is read of a job: why, causes, history, map, audit."""

from __future__ import annotations

from typing import Any, Literal

from ninja import Schema

from joblot.api.schemas.jobs import JobOut


class EstimateOut(Schema):
    """Seconds from now, and moments; null where `text` says why."""

    kind: str
    text: str
    p50: float | None
    p90: float | None
    p50_at: str | None
    p90_at: str | None
    items_per_second: float | None
    workers: int | None


class BucketOut(Schema):
    at: str
    succeeded: int
    failed: int
    workers: int
    paused: bool


class ThroughputOut(Schema):
    """`seconds` is the length of a bucket."""

    as_of: str
    window: str
    seconds: float
    buckets: list[BucketOut]


class RevisionStageOut(Schema):
    name: str
    succeeded: int
    failed: int
    lost: int
    skipped: int
    changes: dict[str, list[int]]


class RevisionOut(Schema):
    """`changes` has [before, after] for what the revision before had recorded differently."""

    run: int
    revision: int
    status: str
    started_at: str | None
    at: str | None
    actor: str
    stages: list[RevisionStageOut]


class RunsOut(Schema):
    runs: list[RevisionOut]


class EventOut(Schema):
    """`message` says for people what the rest says for programs."""

    id: int
    run: int
    revision: int
    kind: str
    data: dict[str, Any]
    at: str
    actor: str
    reason: str
    message: str


class EventsOut(Schema):
    events: list[EventOut]
    next: int | None


class LogOut(Schema):
    """A line that was logged, or an event: then `event` is its kind."""

    id: int
    run: int
    stage: str | None
    item: int | None
    level: str
    message: str
    at: str
    source: str
    worker: str
    lease: str
    event: str | None
    actor: str
    reason: str


class LogsOut(Schema):
    """`next` is the `after`, or the `before`, of the next page, null on the last one."""

    logs: list[LogOut]
    next: int | None


class Reason(Schema):
    """`act` is the verb that would help; `link` is relative to the job."""

    code: str
    text: str
    count: int
    since: str | None = None
    until: str | None = None
    act: Literal["start", "resume", "seal", "retry", "repair", "sweep"] | None = None
    link: str | None = None


class WhyOut(Schema):
    reasons: list[Reason]


class SampleOut(Schema):
    item: int
    key: str
    stage: str
    message: str


class CauseOut(Schema):
    """Failures that differ only in details. Its workers are those of its first `workers_of` items;
    five of `workers_total` are named.
    """

    cause: str
    type: str
    message: str
    traceback: str
    items: int
    share: float
    first_at: str
    last_at: str
    workers: list[str]
    workers_total: int
    workers_of: int
    samples: list[SampleOut]


class CausesOut(Schema):
    """Of `total` failed and lost items, `other` are of causes that are not listed."""

    as_of: str
    total: int
    causes: list[CauseOut]
    other: int


class SummaryOut(Schema):
    job: JobOut
    reasons: list[Reason]
    causes: CausesOut


class CellOut(Schema):
    """Items from number `first` on, by state; `open` is the rest of the cell."""

    first: int
    succeeded: int
    failed: int
    lost: int
    skipped: int
    in_flight: int
    open: int


class MapOut(Schema):
    """Items `first` to `last` of a stage; `next` is where the map continues, null at the end."""

    stage: str
    total: int
    first: int
    last: int
    cell_items: int
    cells: list[CellOut]
    next: int | None


class CheckOut(Schema):
    invariant: Any
    ok: bool
    expected: Any
    found: Any


class AuditOut(Schema):
    ok: bool
    count_drift: int
    checks: list[CheckOut]
