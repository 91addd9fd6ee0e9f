"""Who asked for a change of a job, and why: every event of a verb carries both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from joblot.clean_text import clean
from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.shown import shown


class AuthorFields(TypedDict):
    """An author as a verb's arguments, and as JSON."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Author:
    """`actor` is a name such as "ana" or "token:ci"; "" is joblot itself."""

    actor: str = ""
    reason: str = ""

    def fields(self) -> AuthorFields:
        return {"actor": self.actor, "reason": self.reason}


NOBODY = Author()


def author_of(actor: str, reason: str) -> Author:
    """The author of a verb's change, its texts each on one line. Raises InvalidInput.

    A name that is too long is cut: it is often a program's, and no reason to refuse a cancel.
    """
    return Author(
        _line("actor", actor)[: limits().actor_chars_max],
        _bounded("reason", _line("reason", reason), limits().reason_chars_max),
    )


def _line(what: str, given: str) -> str:
    if not isinstance(given, str):
        raise InvalidInput(f"{what}: expected text, got {shown(given)}")
    return clean(" ".join(given.split()))


def _bounded(what: str, text: str, most: int) -> str:
    if len(text) > most:
        raise InvalidInput(f"{what}: expected at most {most:,} characters, got {len(text):,}")
    return text
