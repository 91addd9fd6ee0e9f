"""One act on many jobs: which of them it concerns, and then one verb for each.

Each job is changed by its own verb, as if by a person who goes through the list, so each change has
its event, and one job's failure stops no other. What was not begun when the time was over is
reported as not reached.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from joblot.config import limits
from joblot.errors import JoblotError, NotFound, NumberChanged, WrongStatus
from joblot.ledger.job import lifecycle
from joblot.ledger.job.retry import retry
from joblot.ledger.read.acts import Act, acts
from joblot.ledger.rows.author import AuthorFields
from joblot.sentences import settled_of

logger = logging.getLogger("joblot.bulk")

Job = dict[str, Any]  # as `progress` returns it

NOTHING = "Nothing was changed; decide again."
BULK = (Act.PAUSE, Act.RESUME, Act.CANCEL, Act.RETRY)


class Fate(StrEnum):
    """What became of a job in an act on many."""

    DONE = "done"
    LEFT = "left"  # as it was: its status does not allow the act, or it changed meanwhile
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`text` says why; empty if it was done."""

    id: int
    name: str
    fate: Fate
    text: str = ""


def mark_of(jobs: Iterable[Job]) -> str:
    """A name for exactly this set of jobs, by which a second reading is compared with the first."""
    ids = ",".join(str(job["id"]) for job in jobs)
    return hashlib.sha256(ids.encode()).hexdigest()[:16]


def concerned(jobs: Iterable[Job], act: Act) -> list[Job]:
    """Those whose status allows the act."""
    return [job for job in jobs if not acts(job)[act]]


def items_of(job: Job, act: Act) -> int:
    """How many of its items the act concerns: those to cancel, or to try again."""
    last = job["stages"][-1]
    if act is Act.RETRY:
        return int(job["total"] - last["succeeded"])
    return int(job["total"] - settled_of(last)) if act is Act.CANCEL else 0


def items_concerned(jobs: Iterable[Job], act: Act) -> int:
    return sum(items_of(job, act) for job in concerned(jobs, act))


def is_typed(act: Act, items: int) -> bool:
    """True if a person has to repeat the number of jobs, because so many items would be lost."""
    return act is Act.CANCEL and items > limits().cancel_named_items


def differs(act: Act, jobs: Sequence[Job], *, mark: str | None, items: int | None) -> str:
    """What is not as it was seen, as far as that is given; "" if nothing differs."""
    if mark is not None and mark != mark_of(jobs):
        return f"Other jobs match now than before. {NOTHING}"
    now = items_concerned(jobs, act)
    # Workers report while a person reads, so there may be fewer items left to cancel.
    if items is not None and (now > items or (now < items and act is not Act.CANCEL)):
        return number_changed("items", items, now)
    return ""


def number_changed(what: str, before: int, now: int) -> str:
    return f"The number of {what} has changed from {before:,} to {now:,}. {NOTHING}"


def act_on(jobs: Sequence[Job], act: Act, by: AuthorFields) -> list[Outcome]:
    """Call the act's verb for each of these jobs that allows it; one outcome for each job."""
    ends = time.monotonic() + limits().bulk_seconds_max
    return [_acted(job, act, by, is_late=time.monotonic() >= ends) for job in jobs]


def _acted(job: Job, act: Act, by: AuthorFields, *, is_late: bool) -> Outcome:
    if refusal := acts(job)[act]:
        return Outcome(job["id"], job["name"], Fate.LEFT, refusal)
    if is_late:
        text = f"Not begun within {limits().bulk_seconds_max:g} s."
        return Outcome(job["id"], job["name"], Fate.NOT_REACHED, text)
    fate, text = _called(job, act, by)
    return Outcome(job["id"], job["name"], fate, text)


def _called(job: Job, act: Act, by: AuthorFields) -> tuple[Fate, str]:
    try:
        _VERBS[act](job, by)
    except (WrongStatus, NumberChanged, NotFound) as error:
        return Fate.LEFT, f"It has changed meanwhile: {error}"
    except JoblotError as error:
        return Fate.FAILED, str(error)
    except Exception as error:
        logger.exception("the verb %s failed for job %s", act, job["id"])
        return Fate.FAILED, f"{type(error).__name__}; the server's log says more"
    return Fate.DONE, ""


def _pause(job: Job, by: AuthorFields) -> None:
    lifecycle.pause(job["id"], **by)


def _resume(job: Job, by: AuthorFields) -> None:
    lifecycle.resume(job["id"], **by)


def _cancel(job: Job, by: AuthorFields) -> None:
    """While workers report, the number falls; no item is canceled that was not counted."""
    lifecycle.cancel(job["id"], expected=items_of(job, Act.CANCEL), or_fewer=True, **by)


def _retry(job: Job, by: AuthorFields) -> None:
    retry(job["id"], expected=items_of(job, Act.RETRY), run=job["run"] + 1, **by)


_VERBS: dict[Act, Callable[[Job, AuthorFields], None]] = {
    Act.PAUSE: _pause,
    Act.RESUME: _resume,
    Act.CANCEL: _cancel,
    Act.RETRY: _retry,
}
