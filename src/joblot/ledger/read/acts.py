"""What people may do to a job now, and why not: derived from the transition table."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from joblot.states import AMENDABLE, FILLABLE, FINALIZABLE, JobStatus, JobTransition, sources


class Act(StrEnum):
    """What people do to a whole job."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    SEAL = "seal"
    CANCEL = "cancel"
    RETRY = "retry"
    EDIT = "edit"
    DELETE = "delete"


_S = JobStatus
_IS = {
    _S.CREATED: "has not been started",
    _S.PENDING: "is running",
    _S.STARTED: "is running",
    _S.PAUSED: "is paused",
    _S.CANCELING: "is being canceled",
    _S.SUCCESS: "has succeeded",
    _S.COMPLETED_WITH_ERRORS: "has ended",
    _S.FAILURE: "has failed",
    _S.REVOKED: "was canceled",
}
# By act: in which statuses it changes something, and how such a job is described.
_ALLOWED = {
    Act.START: (sources(JobTransition.START), "that has not been started can be started"),
    Act.PAUSE: (sources(JobTransition.PAUSE), "that is running can be paused"),
    Act.RESUME: (sources(JobTransition.RESUME), "that is paused can be resumed"),
    Act.SEAL: (FILLABLE, "that still takes items can be sealed"),
    Act.CANCEL: (sources(JobTransition.CANCEL), "that has not ended can be canceled"),
    Act.RETRY: (sources(JobTransition.RETRY), "that ended with items left can be retried"),
    Act.EDIT: (frozenset(_S), ""),
    Act.DELETE: (frozenset(_S), ""),
}


def retries_in_part(status: str) -> bool:
    """True if a selection of what failed can be retried: within the run, or as the next one."""
    return status in FINALIZABLE | AMENDABLE


def acts(job: dict[str, Any]) -> dict[str, str]:
    """For each act on a job, as `progress` returns it: "" if it is allowed now, else why not.

    A hint for people; the verb itself decides.
    """
    status, is_sealed = JobStatus(job["status"]), job["sealed"]
    return {act.value: _refusal(act, status, is_sealed=is_sealed) for act in Act}


def _refusal(act: Act, status: JobStatus, *, is_sealed: bool) -> str:
    if act is Act.SEAL and is_sealed:
        return "The job is sealed already."
    statuses, described = _ALLOWED[act]
    return "" if status in statuses else f"The job {_IS[status]}; only one {described}."
