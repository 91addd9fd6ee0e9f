"""The question before several jobs are changed, and the summary after it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from joblot.config import limits
from joblot.ledger.job.bulk import Fate, Outcome, concerned, items_of
from joblot.ledger.read.acts import Act
from joblot.ledger.read.chosen import Chosen
from joblot.sentences import Question, in_flight
from joblot.shown import counted
from joblot.states import JobStatus
from joblot.words import STATUSES

Job = dict[str, Any]  # as `progress` returns it

_VERBS = {Act.PAUSE: "Pause", Act.RESUME: "Resume", Act.CANCEL: "Cancel", Act.RETRY: "Retry"}
_DONE = {
    Act.PAUSE: ("paused", "running"),
    Act.RESUME: ("resumed", "paused"),
    Act.CANCEL: ("canceled", "open any more"),
    Act.RETRY: ("retried", "to be retried"),
}
_MEANS = {
    Act.PAUSE: "No more of their items are handed out until they are resumed.",
    Act.RESUME: "Their open items are handed out again.",
    Act.CANCEL: "No more of their items are handed out. What is settled stays as it is.",
    Act.RETRY: "The next run of each begins with these items only; all others stay as they are.",
}
_FLYING = {
    Act.PAUSE: "their results still count",
    Act.RESUME: "they stay with their workers",
    Act.CANCEL: "results that arrive within their job's grace period still count, later ones are "
    "kept without being counted",
    Act.RETRY: "results from the runs that have ended no longer count",
}


def question(act: Act, jobs: Sequence[Job], which: str) -> Question:
    """For an act on the `jobs`; `which` is the sentence that says how they were chosen."""
    affected = concerned(jobs, act)
    happens = (which, _left(jobs, affected), _MEANS[act], _flying(act, affected))
    return Question(
        f"{_VERBS[act]} {_number(act, jobs, affected)}?",
        tuple(filter(None, happens)),
        f"{_VERBS[act]} {counted(len(affected), 'job')}",
        is_danger=act is Act.CANCEL,
    )


def refusal(act: Act, jobs: Sequence[Job]) -> str:
    """Why there is nothing to ask; "" if there is."""
    if concerned(jobs, act):
        return ""
    if not jobs:
        return "There is no such job any more."
    state, statuses = _DONE[act][1], _statuses(jobs)
    if len(jobs) == 1:
        return f"The job is not {state}: {statuses}."
    return f"None of the {len(jobs):,} jobs is {state}: {statuses}."


def refusal_of(act: Act, found: Chosen) -> str:
    """The same of what was chosen, of which there may be too much."""
    if found.is_over:
        most = limits().bulk_jobs_max
        return f"More than {most:,} jobs match; one act covers at most {most:,}. Narrow the filter."
    return refusal(act, found.jobs)


def summary_of(act: Act, outcomes: Iterable[Outcome]) -> str:
    """`41 paused, 9 were not running.`"""
    fates = Counter(one.fate for one in outcomes)
    done, needed = _DONE[act]
    parts = [f"{fates[Fate.DONE]:,} {done}"]
    if left := fates[Fate.LEFT]:
        parts.append(f"{_were(left)} not {needed}")
    if failed := fates[Fate.FAILED]:
        parts.append(f"{failed:,} failed")
    if rest := fates[Fate.NOT_REACHED]:
        parts.append(f"{_were(rest)} not reached")
    return f"{', '.join(parts)}."


def _number(act: Act, jobs: Sequence[Job], affected: Sequence[Job]) -> str:
    of = counted(len(jobs), "job")
    of = f"{len(affected):,} of {of}" if 0 < len(affected) < len(jobs) else of
    items = sum(items_of(job, act) for job in affected)
    if act is Act.CANCEL:
        return f"{of} with {counted(items, 'unsettled item')}"
    return f"{counted(items, 'item')} of {of}" if act is Act.RETRY else of


def _left(jobs: Sequence[Job], affected: Sequence[Job]) -> str:
    ids = {job["id"] for job in affected}
    left = [job for job in jobs if job["id"] not in ids]
    verb = "is left as it is" if len(left) == 1 else "are left as they are"
    return f"{len(left):,} {verb}: {_statuses(left)}." if left else ""


def _statuses(jobs: Iterable[Job]) -> str:
    """`7 paused, 2 succeeded`; without a number for a single job."""
    found = Counter(JobStatus(job["status"]) for job in jobs)
    words = [(STATUSES[one].word.lower(), found[one]) for one in STATUSES if found[one]]
    return words[0][0] if found.total() == 1 else ", ".join(f"{n:,} {word}" for word, n in words)


def _flying(act: Act, affected: Iterable[Job]) -> str:
    items = sum(in_flight(job) for job in affected)
    return f"{counted(items, 'item')} in flight: {_FLYING[act]}." if items else ""


def _were(number: int) -> str:
    return f"{number:,} {'was' if number == 1 else 'were'}"
