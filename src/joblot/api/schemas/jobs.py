"""The shapes of jobs in requests and answers."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

from joblot.api.request_shapes import Items, Shape
from joblot.api.schemas.common import CauseId, Name, Whole, Why


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

    `cause`, `stage` and `keys` narrow it to the items that failed for this cause, in this stage, or
    with these keys; `failed` selects all that failed. While the job runs, a selection is reopened
    within its run; without one, the job must have ended. `expected` items must be retried, else the
    answer is 409 `number_changed`, with `expected` and `found`, and nothing is changed. `config`
    replaces the job's; null keeps it. Without `start` the run is on hold.
    """

    run: Annotated[Whole, Field(ge=2, le=2**31 - 1)] | None = None
    cause: CauseId | None = None
    stage: Name | None = None
    keys: Annotated[list[str], Field(min_length=1, max_length=100_000)] | None = None
    failed: bool = False
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
    owner: str
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
    owner: str | None = None
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
