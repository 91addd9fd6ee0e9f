"""The shapes of the workers' requests and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import Field

from joblot.api.request_shapes import Shape
from joblot.api.schemas.common import BIGINT_MAX, JobId, Name, Problem, Whole


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


class NextClaimIn(Shape):
    """`about` is what the worker says about itself: version, host, hardware."""

    pipelines: Annotated[list[Name], Field(min_length=1, fail_fast=True)]
    limit: Annotated[Whole, Field(ge=1, le=BIGINT_MAX)] = 16
    job: Annotated[JobId, Field(strict=True)] | None = None
    idempotency_key: Annotated[str, Field(min_length=1, max_length=150)] | None = None
    about: dict[str, Any] | None = None


class ClaimIn(NextClaimIn):
    """A claim that may wait for work."""

    wait_seconds: Annotated[float, Field(ge=0, le=BIGINT_MAX)] = 0.0


class ClaimedItemOut(Schema):
    """`payload` is null if the item has none; with `null_payload`, it was given as null."""

    id: int
    key: str
    payload: Any
    input: Any
    attempt: int
    null_payload: bool = False


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


class ProgressIn(Shape):
    """How far the worker is: with `item`, or with all that it works on; `share` is from 0 to 1."""

    share: Annotated[float, Field(ge=0, le=1)] | None = None
    text: str = ""
    item: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None


class RenewIn(Shape):
    seconds: Annotated[float, Field(gt=0, le=7 * 86_400)] | None = None
    progress: ProgressIn | None = None


class RenewOut(Schema):
    expires_at: str


class TakeIn(Shape):
    """The dispatcher that was granted the lease, as the grant that it has sent says."""

    dispatcher: Name


class PrintedItem(Shape):
    item: int = Field(ge=0, le=2**31 - 1)
    text: str = Field(max_length=100_000)


class PrintedIn(Shape):
    """What items of the lease have printed; the last 4,000 characters of each are kept."""

    printed: Annotated[list[PrintedItem], Field(min_length=1, max_length=1_000)]


class PrintedOut(Schema):
    """For how many of them the job's log had room."""

    kept: int


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
    """With `claim`, the answer brings the worker's next lease."""

    lease: str
    results: list[ResultIn]
    claim: NextClaimIn | None = None


class ReceiptOut(Schema):
    item: int | None
    receipt: str
    reason: str


class ReportOut(Schema):
    """`claim` and `claim_problem` are there if a claim was asked for; one of them is null."""

    receipts: list[ReceiptOut]
    claim: ClaimOut | None = None
    claim_problem: Problem | None = None


class WorkerOut(Schema):
    """`until` is when the last of its leases ends; `items` are those that they hold.

    `items_per_minute` is over the last five minutes, `failed_last_hour` and `last_error` over the
    last hour.
    """

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
    items_per_minute: float
    failed_last_hour: int
    last_error: str | None
    revoked_at: str | None
    revoked_by: str
    revoked_reason: str


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
