"""The shapes of requests and answers, as in OpenAPI. Fields may be added, never renamed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import Field

from joblot.api.request_shapes import Items, Shape

BIGINT_MAX = 2**63 - 1

JobId = Annotated[int, Field(ge=1, le=BIGINT_MAX)]
Cursor = Annotated[int, Field(ge=-1, le=BIGINT_MAX)]
Whole = Annotated[int, Field(strict=True)]  # in a request: neither text nor true
CauseId = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Why = Annotated[str, Field(max_length=10_000)]  # the ledger has the limit


class StageIn(Shape):
    name: Name
    pipeline: Name


class JobIn(Shape):
    """Give `pipeline`, or `stages`. With `seal` false more items may follow.

    null is the same as leaving a field out.
    """

    name: Name
    project: Name | None = None
    pipeline: Name | None = None
    stages: Annotated[list[StageIn], Field(fail_fast=True)] | None = None
    items: Items | None = None
    config: Any = None
    policy: dict[str, Any] | None = None
    priority: Whole | None = None
    start: bool = True
    seal: bool = True
    idempotency_key: Name | None = None


class ItemsIn(Shape):
    items: Items


class ItemsAdded(Schema):
    added: int
    total: int


class ChangeIn(Shape):
    """`reason` is kept with the event of the change."""

    reason: Why | None = None


class CancelIn(ChangeIn):
    """`expected` is the number of unsettled items: with another number nothing is changed."""

    grace_seconds: Annotated[float, Field(ge=0, le=7 * 86_400)] | None = None
    expected: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None


class EditIn(ChangeIn):
    """What changes. In `policy`, null restores the installation's default."""

    name: Name | None = None
    priority: Whole | None = None
    policy: dict[str, Any] | None = None


class SealIn(ChangeIn):
    """With `total`, the job is sealed only if it has exactly as many items."""

    total: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None


class RetryIn(ChangeIn):
    """`run` is the run to begin: repeating the request for one that has begun changes nothing.

    `cause`: only the items that failed for it. `expected` items must be retried, else the answer is
    409 `number_changed`, with `expected` and `found`, and nothing is changed. `config` replaces the
    job's; null keeps it. Without `start` the run is on hold.
    """

    run: Annotated[Whole, Field(ge=2, le=2**31 - 1)] | None = None
    cause: CauseId | None = None
    expected: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None
    config: Any = None
    start: bool = True


class StageOut(Schema):
    name: str
    pipeline: str
    total: int
    ready: int
    in_flight: int
    succeeded: int
    failed: int
    lost: int
    skipped: int
    cancelled: int
    metrics: dict[str, int]


class Eta(Schema):
    """Seconds."""

    p50: float
    p90: float


class JobOut(Schema):
    """A snapshot at `as_of`. `percent` is rounded down; for a job that is not sealed, it is of the
    items known so far.
    """

    id: int
    name: str
    project: str
    priority: int
    status: str
    run: int
    revision: int
    sealed: bool
    total: int
    percent: float
    finishing: bool
    stages: list[StageOut]
    finished_after_cancel: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    eta: Eta | None
    as_of: str


class JobsOut(Schema):
    """`after` is the `after` of the next page, and `next` its `before` if the newest come first;
    null on the last page.
    """

    jobs: list[JobOut]
    next: int | None
    after: str | None


class CountsQuery(Schema):
    """A filter of jobs, as texts; `ledger.read.filters` reads them."""

    status: str | None = None
    project: str | None = None
    pipeline: str | None = None
    q: str | None = None
    since: str | None = None
    until: str | None = None

    def given(self) -> dict[str, str]:
        return self.dict(exclude_none=True)


class JobsQuery(CountsQuery):
    sort: str | None = None
    after: str | None = None


class CountOut(Schema):
    """If `over`, there are more than this number of jobs."""

    jobs: int
    over: bool


class CountsOut(Schema):
    counts: dict[str, CountOut]


class PartsOut(StageOut):
    """A stage; the numbers from `ready` to `skipped`, without `cancelled`, and these add up."""

    waiting: int
    not_reached: int
    cancelled_before_start: int
    cancelled_in_flight: int
    finished_after_cancel: int


class PartitionOut(JobOut):
    stages: list[PartsOut]  # type: ignore[assignment]


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


class NextJobOut(Schema):
    id: int
    name: str
    project: str
    pipeline: str
    stage: str


class NextOut(Schema):
    """The job that a claim would be served from now; null, and why, if there is none."""

    job: NextJobOut | None
    reason: str
    retry_after_seconds: float


class ErrorOut(Schema):
    """`cause` is the same for failures that differ only in details; see `GET …/causes`."""

    type: str | None
    message: str | None
    cause: str | None
    traceback: str


class OutcomeOut(Schema):
    stage: str
    state: str
    run: int
    output: Any
    output_ref: str | None
    metrics: dict[str, int]
    error: ErrorOut | None
    settled_at: str


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


class StandingOut(Schema):
    stage: str
    state: str
    worker: str = ""
    until: str | None = None


class TryOut(Schema):
    """`receipt` is null for a lease that expired: nothing was reported."""

    stage: str
    run: int
    worker: str
    leased_at: str | None
    reported_at: str
    outcome: str
    receipt: str | None
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


class EventOut(Schema):
    id: int
    run: int
    revision: int
    kind: str
    data: dict[str, Any]
    at: str
    actor: str
    reason: str


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


class ClaimIn(Shape):
    """`about` is what the worker says about itself: version, host, hardware."""

    pipelines: Annotated[list[Name], Field(min_length=1, fail_fast=True)]
    limit: Annotated[Whole, Field(ge=1, le=BIGINT_MAX)] = 16
    wait_seconds: Annotated[float, Field(ge=0, le=BIGINT_MAX)] = 0.0
    job: Annotated[JobId, Field(strict=True)] | None = None
    idempotency_key: Annotated[str, Field(min_length=1, max_length=150)] | None = None
    about: dict[str, Any] | None = None


class ClaimedItemOut(Schema):
    id: int
    key: str
    payload: Any
    input: Any
    attempt: int


class LeaseOut(Schema):
    token: str
    job: int
    run: int
    stage: str
    pipeline: str
    expires_at: str
    lease_seconds: float
    traceparent: str = ""
    config: Any
    items: list[ClaimedItemOut]


class ClaimOut(Schema):
    """Leases, or the reason why there are none and when to ask again."""

    leases: list[LeaseOut]
    reason: str
    retry_after_seconds: float


class RenewIn(Shape):
    seconds: Annotated[float, Field(gt=0, le=7 * 86_400)] | None = None


class RenewOut(Schema):
    expires_at: str


class ReleaseOut(Schema):
    released: int


class ResultError(Schema):
    type: str = "Error"
    message: str = ""
    traceback: str = ""


class ResultIn(Schema):
    """One result. `metrics` are whole numbers; `retryable` matters for a failure only."""

    item: Annotated[int, Field(ge=0, le=2**31 - 1)]
    outcome: Literal["succeeded", "failed"]
    output: Any = None
    metrics: dict[str, int] = Field(default_factory=dict)
    error: ResultError | None = None
    retryable: bool = False


class ReportIn(Schema):
    lease: str
    results: list[ResultIn]


class ReceiptOut(Schema):
    item: int | None
    receipt: str
    reason: str


class ReportOut(Schema):
    receipts: list[ReceiptOut]


class WorkerOut(Schema):
    """`until` is when the last of its leases ends; `items` are those that they hold."""

    owner: int
    instance: str
    host: str
    version: str
    about: dict[str, Any]
    pipelines: list[str]
    state: Literal["online", "quiet", "offline"]
    first_seen_at: str
    last_seen_at: str
    leases: int
    items: int
    until: str | None
    items_per_minute: float | None
    failed_last_hour: int | None
    last_error: str | None
    revoked_at: str | None


class WorkerIn(Shape):
    """The worker to revoke or to restore, as `GET workers` lists it."""

    owner: int = Field(ge=0, le=BIGINT_MAX)
    instance: Name
    reason: str = Field("", max_length=1_000)


class RevokedOut(Schema):
    """How many items the worker has given back."""

    released: int


class WorkersOut(Schema):
    workers: list[WorkerOut]


class Problem(Schema):
    """RFC 9457. `code` is stable; `detail` says what was expected, what came, what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
