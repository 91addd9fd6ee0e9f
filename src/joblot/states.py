"""The state machines of joblot, pure and complete.

No other code decides eligibility: claiming, settling, finishing, canceling and sweeping read the
tables and sets below, the database's trigger contains the same pairs, and the chart in the docs is
generated from them. This module imports only the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from fractions import Fraction
from types import MappingProxyType

__all__ = [
    "ItemState",
    "JobStatus",
    "LeaseState",
    "NoLease",
    "Receipt",
    "ReportedOutcome",
]


class JobStatus(StrEnum):
    """The status of a job in its current run."""

    CREATED = "CREATED"  # being filled, set up, or reopened by a retry
    PENDING = "PENDING"  # started, no lease granted yet
    STARTED = "STARTED"  # a lease was granted
    PAUSED = "PAUSED"  # grants no lease; still accepts results
    CANCELING = "CANCELING"  # grants no lease; accepts results until its leases are closed
    SUCCESS = "SUCCESS"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"


class JobTransition(StrEnum):
    """What can happen to a job."""

    START = "start"
    CLAIM = "claim"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    REVOKE = "revoke"
    FINISH = "finish"
    AMEND = "amend"
    RETRY = "retry"


_S, _T = JobStatus, JobTransition
_VERDICTS = frozenset({_S.SUCCESS, _S.COMPLETED_WITH_ERRORS, _S.FAILURE})

CLAIMABLE = frozenset({_S.PENDING, _S.STARTED})
ACCEPTING = frozenset({_S.PENDING, _S.STARTED, _S.PAUSED, _S.CANCELING})
FINALIZABLE = frozenset({_S.PENDING, _S.STARTED, _S.PAUSED})
CANCELABLE = frozenset({_S.CREATED, _S.PENDING, _S.STARTED, _S.PAUSED})
FILLABLE = frozenset({_S.CREATED, _S.PENDING, _S.STARTED, _S.PAUSED})
RETRYABLE = frozenset({_S.COMPLETED_WITH_ERRORS, _S.FAILURE, _S.REVOKED})
AMENDABLE = frozenset({_S.COMPLETED_WITH_ERRORS, _S.FAILURE})
TERMINAL = frozenset({_S.SUCCESS, _S.COMPLETED_WITH_ERRORS, _S.FAILURE, _S.REVOKED})
ACTIVE = frozenset(_S) - TERMINAL

# (status, transition) -> the possible next statuses. If there are several, the verdict picks one.
# A pair that is not listed is refused.
TRANSITIONS: Mapping[tuple[JobStatus, JobTransition], frozenset[JobStatus]] = MappingProxyType(
    {
        (_S.CREATED, _T.START): frozenset({_S.PENDING}),
        (_S.PENDING, _T.CLAIM): frozenset({_S.STARTED}),
        (_S.PENDING, _T.PAUSE): frozenset({_S.PAUSED}),
        (_S.STARTED, _T.PAUSE): frozenset({_S.PAUSED}),
        (_S.PAUSED, _T.RESUME): frozenset({_S.STARTED}),
        **{(status, _T.CANCEL): frozenset({_S.CANCELING}) for status in CANCELABLE},
        (_S.CANCELING, _T.REVOKE): frozenset({_S.REVOKED}),
        **{(status, _T.FINISH): _VERDICTS for status in FINALIZABLE},
        # An amendment can only improve the report of a run that has ended.
        (_S.FAILURE, _T.AMEND): _VERDICTS,
        (_S.COMPLETED_WITH_ERRORS, _T.AMEND): frozenset({_S.COMPLETED_WITH_ERRORS, _S.SUCCESS}),
        # The only way out of a terminal status; it begins the next run.
        **{(status, _T.RETRY): frozenset({_S.CREATED}) for status in RETRYABLE},
    }
)


def sources(transition: JobTransition) -> frozenset[JobStatus]:
    """The statuses in which `transition` is allowed."""
    return frozenset(status for status, known in TRANSITIONS if known is transition)


def verdict(total: int, succeeded: int, failure_threshold: float) -> JobStatus:
    """The final status of a run in which `succeeded` of `total` items passed the last stage.

    `failure_threshold` is the share of items (0 to 1) that may fail before the whole job counts
    as failed. The comparison is exact, so 1 of 2 with a threshold of 0.5 is not a failure.
    """
    if succeeded == total:
        return JobStatus.SUCCESS
    if Fraction(total - succeeded, total) > Fraction(str(failure_threshold)):
        return JobStatus.FAILURE
    return JobStatus.COMPLETED_WITH_ERRORS


class ItemState(IntEnum):
    """The state of an item in one stage. Every state except OPEN is settled."""

    OPEN = 0
    SUCCEEDED = 1
    FAILED = 2
    LOST = 3
    SKIPPED = 4


SETTLED = frozenset({ItemState.SUCCEEDED, ItemState.FAILED, ItemState.LOST, ItemState.SKIPPED})


class LeaseState(IntEnum):
    """What a lease may still be used for.

    A SPENT lease is a live one without open items; it is separate only so that leases in flight can
    be found quickly.
    """

    LIVE = 0
    SPENT = 1
    EXPIRED = 2
    CLOSED = 3


HOLDING = frozenset({LeaseState.LIVE, LeaseState.SPENT})
# An open item may be settled through any of these; of those that are spent, only through one that
# gave an item back.
CAN_SETTLE = frozenset({LeaseState.LIVE, LeaseState.EXPIRED})


class FileState(IntEnum):
    """The state of a large output's file. Only a STORED file may be referred to."""

    WRITING = 0
    STORED = 1
    REMOVING = 2


class NoLease(StrEnum):
    """Why a claim was granted nothing."""

    NONE_QUEUED = "none_queued"  # no open item waits for these pipelines
    ALL_LEASED = "all_leased"  # all open items are in live leases or not ready yet
    PAUSED = "paused"  # the open items belong to paused jobs
    UNKNOWN_PIPELINE = "unknown_pipeline"  # no job has a stage of these pipelines
    AT_LIMIT = "at_limit"  # the caller, or the only jobs with ready items, have enough in flight


class ReportedOutcome(StrEnum):
    """What a worker reports about an item."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Receipt(StrEnum):
    """joblot's answer to one result."""

    COUNTED = "counted"  # the item is settled by this result
    REQUEUED = "requeued"  # a retryable failure within the budget; the item is tried again
    DUPLICATE = "duplicate"  # the item is settled with this result already; nothing was done
    CONFLICTING = "conflicting"  # the item succeeded with another output, which stays
    SUPERSEDED = "superseded"  # a failure after something better or newer; nothing was done
    AMENDED = "amended"  # the item was failed or lost, and has now succeeded
    LATE = "late"  # a success when nothing counts any more; it is kept
    DEFERRED = "deferred"  # the hook or the storage failed; the item is open, so report it again
    REJECTED = "rejected"  # invalid, or the lease does not hold the item; the reason says which


class Report(StrEnum):
    """The kinds of results that receipts distinguish."""

    SUCCESS = "success"
    FINAL_FAILURE = "final failure"  # not retryable, or the budget is exhausted
    RETRYABLE_FAILURE = "retryable failure"  # within the budget


class Standing(StrEnum):
    """The state of an item relative to the lease and the result that is reported for it.

    With the lease's state and the kind of result, it selects the receipt. SAME and OTHER compare
    the reported output with the recorded one.
    """

    OPEN = "open"
    RETURNED = "returned"  # open, but this lease has given it back
    SAME = "succeeded, same result"
    OTHER = "succeeded, another result"
    FAILED = "failed"
    LOST = "lost"


_R = Receipt
_LIVE = {
    #                  success          final failure    retryable failure
    Standing.OPEN: (_R.COUNTED, _R.COUNTED, _R.REQUEUED),
    Standing.RETURNED: (_R.COUNTED, _R.DUPLICATE, _R.DUPLICATE),
    Standing.SAME: (_R.DUPLICATE, _R.SUPERSEDED, _R.SUPERSEDED),
    Standing.OTHER: (_R.CONFLICTING, _R.SUPERSEDED, _R.SUPERSEDED),
    Standing.FAILED: (_R.AMENDED, _R.DUPLICATE, _R.DUPLICATE),
    Standing.LOST: (_R.AMENDED, _R.SUPERSEDED, _R.SUPERSEDED),
}
# The items of a spent lease have outcomes, except for those that it gave back. If one has none, a
# removal has deleted the outcome: the job is deleted, and nothing counts any more.
_SPENT = _LIVE | {Standing.OPEN: (_R.LATE, _R.LATE, _R.LATE)}
# A stale failure must not fail an item that was leased again; a success still counts.
_EXPIRED = _LIVE | {Standing.OPEN: (_R.COUNTED, _R.SUPERSEDED, _R.SUPERSEDED)}
# The run is over: results that repeat or contradict recorded ones get the usual receipts; all
# others are late.
_CLOSED = _LIVE | {
    Standing.OPEN: (_R.LATE, _R.LATE, _R.LATE),
    Standing.RETURNED: (_R.LATE, _R.DUPLICATE, _R.DUPLICATE),
    Standing.FAILED: (_R.LATE, _R.DUPLICATE, _R.DUPLICATE),
    Standing.LOST: (_R.LATE, _R.LATE, _R.LATE),
}

# (lease, standing, report) -> receipt, for an item in the last stage.
RECEIPTS: Mapping[tuple[LeaseState, Standing, Report], Receipt] = MappingProxyType(
    {
        (lease, standing, report): receipt
        for lease, rows in (
            (LeaseState.LIVE, _LIVE),
            (LeaseState.SPENT, _SPENT),
            (LeaseState.EXPIRED, _EXPIRED),
            (LeaseState.CLOSED, _CLOSED),
        )
        for standing, row in rows.items()
        for report, receipt in zip(Report, row, strict=True)
    }
)

# The cells of results that are counted. None of their items has an outcome, so a statement that
# leaves alone whatever has one need not know more of the table.
COUNTED = frozenset(cell for cell, receipt in RECEIPTS.items() if receipt is Receipt.COUNTED)


def receipt_for(
    lease: LeaseState, standing: Standing, report: Report, *, last_stage: bool
) -> Receipt:
    """Return the receipt for one result.

    Before the last stage nothing is amended: the item failed or was lost and its later stages were
    skipped, so a success is late.
    """
    receipt = RECEIPTS[lease, standing, report]
    return Receipt.LATE if receipt is Receipt.AMENDED and not last_stage else receipt
