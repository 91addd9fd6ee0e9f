"""The errors of an exploration. They only fail tests and never reach a client, so have no codes.

AssertionError
└── ScheduleFailed      a schedule after which the check fails; its text is the table
Exception
├── Stuck               an operation neither ends nor reaches a statement
├── NeverEnds           an operation keeps running statements
├── Deadlocked          (shown in the table) the database broke a deadlock with an error
└── UnexpectedError     (shown in the table) an operation raised an error that was not allowed
"""

from __future__ import annotations


class ScheduleFailed(AssertionError):
    """The check failed. `replay` is the smallest schedule found; the text shows it as a table."""

    def __init__(self, text: str, replay: str) -> None:
        super().__init__(text)
        self.replay = replay


class Stuck(Exception):
    """An operation neither ends, reaches a statement, nor waits for another operation."""


class NeverEnds(Exception):
    """An operation keeps running statements, perhaps in a loop that waits for the others."""


class Deadlocked(Exception):
    """The database broke a deadlock, and the operation raised the error."""


class UnexpectedError(Exception):
    """An operation raised an error that was not allowed."""


def is_deadlock(error: BaseException | None) -> bool:
    return getattr(error, "sqlstate", None) == "40P01"
