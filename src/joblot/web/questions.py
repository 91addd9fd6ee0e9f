"""What a person is asked before a job is changed: verb, number and noun, and what happens to the
work in flight. Pure; the numbers come from the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from joblot.ledger.read.acts import Act
from joblot.sentences import Question, in_flight
from joblot.shown import counted
from joblot.states import FINALIZABLE

Job = dict[str, Any]  # as `progress` returns it


def question(act: Act, job: Job, number: int, *, cause: str = "") -> Question:
    """The question for an act on this job that concerns `number` items."""
    return _QUESTIONS[act](job, number, cause)


def _flying(job: Job, meanwhile: str) -> str:
    """What happens to the work in flight."""
    items = in_flight(job)
    return f"{counted(items, 'item')} in flight: {meanwhile}." if items else "No item is in flight."


def _start(job: Job, number: int, cause: str) -> Question:
    return Question(
        f"Start {job['name']} with {counted(job['total'], 'item')}?",
        ("Workers can claim its items from now on.",),
        "Start",
    )


def _pause(job: Job, number: int, cause: str) -> Question:
    return Question(
        f"Pause {job['name']}?",
        (
            "No more items are handed out until it is resumed.",
            _flying(job, "their results still count"),
        ),
        "Pause",
    )


def _resume(job: Job, number: int, cause: str) -> Question:
    return Question(
        f"Resume {job['name']}?",
        (
            "Its open items are handed out again.",
            _flying(job, "they stay with their workers"),
        ),
        "Resume",
    )


def _seal(job: Job, number: int, cause: str) -> Question:
    return Question(
        f"Seal {job['name']} at {counted(job['total'], 'item')}?",
        (
            "No more items can be added, and it ends once all of them are settled.",
            _flying(job, "they are not affected"),
        ),
        "Seal",
        is_danger=True,
    )


def _cancel(job: Job, number: int, cause: str) -> Question:
    return Question(
        f"Cancel {counted(number, 'unsettled item')} of {job['name']}?",
        (
            "No more items are handed out. What is settled stays as it is.",
            _flying(
                job,
                "results that arrive within the job's grace period still count, later ones are "
                "kept without being counted",
            ),
        ),
        "Cancel the job",
        is_danger=True,
    )


def _retry(job: Job, number: int, cause: str) -> Question:
    given_up = sum(int(stage["failed"] + stage["lost"]) for stage in job["stages"])
    group = " of this cause" if cause else ""
    noun = "failed item" if cause or given_up == number else "item"
    rest = "" if noun == "failed item" else " that did not succeed"
    happens: tuple[str, ...] = (
        f"Run {job['run'] + 1} begins with these items only; all others stay as they are.",
        _flying(job, "results from the run that has ended no longer count"),
    )
    if job["status"] in FINALIZABLE:
        happens = ("They are open again in this run; all others stay as they are.",)
    return Question(
        f"Retry {counted(number, noun)}{group} of {job['name']}{rest}?",
        happens,
        f"Retry {counted(number, 'item')}",
    )


def _edit(job: Job, number: int, cause: str) -> Question:
    return Question(
        f"Edit {job['name']}",
        (
            "A change counts from the next claim, renewal or report on; what has happened stays.",
            _flying(job, "they keep their leases"),
        ),
        "Save",
    )


def _delete(job: Job, number: int, cause: str) -> Question:
    return Question(
        f"Delete {job['name']} with {counted(job['total'], 'item')}?",
        (
            "Its items, results and logs are removed. This can't be undone.",
            _flying(job, "they are canceled at once, and their results are not kept"),
        ),
        "Delete the job",
        is_danger=True,
    )


_QUESTIONS: dict[Act, Callable[[Job, int, str], Question]] = {
    Act.START: _start,
    Act.PAUSE: _pause,
    Act.RESUME: _resume,
    Act.SEAL: _seal,
    Act.CANCEL: _cancel,
    Act.RETRY: _retry,
    Act.EDIT: _edit,
    Act.DELETE: _delete,
}
