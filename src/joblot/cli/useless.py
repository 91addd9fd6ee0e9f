"""Ends a run early if its outputs can't be stored, instead of computing every item for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from joblot.errors import PermanentError
from joblot.wire import ClaimedItem, Error, Result
from joblot.worker.function import RETURNED, Work

FAILURES_MAX = 5  # of a process, before it has had a success


def stopping(work: Work, useless: Callable[[Error], None]) -> Work:
    """The work; `useless` is called once if its first outputs all fail for the same cause."""
    causes: list[str] = []
    decided = False

    def watch(result: Result) -> None:
        nonlocal decided
        error = result.error
        if error is None or not error.message.startswith(RETURNED):
            decided = decided or result.succeeded
            return
        causes.append(error.cause)
        if len(causes) >= FAILURES_MAX:
            decided = True
            if len(set(causes)) == 1:
                useless(error)

    def watched(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        for results in work(items):
            for result in results:
                if not decided:
                    watch(result)
            yield results

    return watched


def useless_error(cause: str, job_id: int) -> PermanentError:
    return PermanentError(
        f"the run was stopped, because no output can be kept ({cause}); let the function return "
        f"JSON, continue with joblot run --resume {job_id}, and at the end repeat what failed with "
        f"joblot retry {job_id}"
    )
