"""What an exploration may raise. It fails tests; no server answers with it, so there are no codes.

AssertionError
└── ScheduleFailed      a schedule after which the check fails; its text is the table
Exception
├── Stuck               an operation neither ends nor reaches a statement
├── NeverEnds           an operation runs statement after statement
├── Deadlocked          (shown in the table) the database broke a deadlock with an error
└── UnexpectedError     (shown in the table) an operation raised what was not allowed
"""

from __future__ import annotations


class ScheduleFailed(AssertionError):
    """The check failed. `replay` is the smallest schedule found; the text shows it as a table."""

    def __init__(self, text: str, replay: str) -> None:
        super().__init__(text)
        self.replay = replay


class Stuck(Exception):
    """An operation neither ends nor reaches a statement nor waits for another operation."""


class NeverEnds(Exception):
    """An operation runs statement after statement: a loop that waits for the others?"""


class Deadlocked(Exception):
    """The database broke a deadlock, and the operation raised the error."""


class UnexpectedError(Exception):
    """An operation raised an error that was not allowed."""
