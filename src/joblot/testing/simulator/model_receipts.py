"""The receipt that the model predicts for a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joblot.states import ItemState, Receipt, Report, ReportedOutcome, Standing, receipt_for
from joblot.testing.simulator.model_lease import ModelLease

if TYPE_CHECKING:
    from joblot.testing.simulator.model import Job

FAILURES_MAX = 2
REFUSED = "refused"  # the hook of a hooked stage rejects this output,
BUSY = "busy"  # and defers this one

Given = tuple[int, ReportedOutcome, str, bool]  # number, outcome, output, retryable


def judge(job: Job, lease: ModelLease, given: Given) -> tuple[Receipt, bool]:
    """Return the receipt that a result would get, and if it is a success. Changes nothing."""
    number, outcome, output, retryable = given
    if lease.removed or number not in lease.held:
        return Receipt.REJECTED, False
    good = outcome is ReportedOutcome.SUCCEEDED
    within = retryable and lease.held[number].failures + 1 < FAILURES_MAX
    kind = Report.RETRYABLE_FAILURE if within else Report.FINAL_FAILURE
    receipt = _receipt(job, lease, number, output, Report.SUCCESS if good else kind)
    if good and receipt in (Receipt.COUNTED, Receipt.AMENDED) and lease.stage in job.hooked:
        if output == BUSY:
            return Receipt.DEFERRED, good
        if output == REFUSED:
            return _receipt(job, lease, number, "", Report.FINAL_FAILURE), False
    return receipt, good


def _receipt(job: Job, lease: ModelLease, number: int, output: str, report: Report) -> Receipt:
    standing = _standing(job, lease, number, output)
    return receipt_for(lease.state, standing, report, last_stage=lease.stage == job.stages - 1)


def _standing(job: Job, lease: ModelLease, number: int, output: str) -> Standing:
    known = job.settled.get((lease.stage, number))
    if known is None:
        return Standing.RETURNED if number in lease.gone else Standing.OPEN
    state, before = known
    if state is ItemState.SUCCEEDED:
        return Standing.SAME if before == output else Standing.OTHER
    return Standing.LOST if state is ItemState.LOST else Standing.FAILED
