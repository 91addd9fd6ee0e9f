"""The shape of a snapshot, as in OpenAPI."""

from __future__ import annotations

from ninja import Schema


class StageCounts(Schema):
    """The parts of `total`, which they add up to; `settled` and `cancelled` are sums of some."""

    name: str
    total: int
    settled: int
    not_reached: int
    ready: int
    waiting: int
    in_flight: int
    succeeded: int
    failed: int
    lost: int
    skipped: int
    cancelled: int
    cancelled_before_start: int
    cancelled_in_flight: int
    finished_after_cancel: int


class Estimate(Schema):
    """When the job will be done, or a sentence that says why nobody knows."""

    kind: str
    text: str
    p50_at: str | None
    p90_at: str | None
    basis: str


class ShownOut(Schema):
    """A status as people read it; `color` names the state of items with the same color."""

    word: str
    glyph: str
    color: str


class ShortReason(Schema):
    """`act` is the verb that would help, `link` is relative to the job."""

    code: str
    text: str
    act: str | None = None
    link: str | None = None


class SnapshotOut(Schema):
    """All that a page shows of a job, from one read. A later snapshot has a greater `key`, which is
    run.revision.microseconds. `why` says why the job is not finished; `acts` has, for each verb,
    why it is refused now, "" if it is allowed.
    """

    key: str
    id: int
    run: int
    revision: int
    status: str
    sealed: bool
    finishing: bool
    shown: ShownOut
    standing: str
    total: int
    settled: int
    unsettled: int
    not_well: int
    percent: float
    eta: Estimate
    stages: list[StageCounts]
    why: list[ShortReason]
    acts: dict[str, str]
    is_final: bool
    as_of: str
