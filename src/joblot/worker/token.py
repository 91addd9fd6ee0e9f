"""A client's token: given as text, or in a file that may be replaced while the client runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from joblot.errors import InvalidInput

TOKEN = "JOBLOT_TOKEN"  # noqa: S105 (the variable's name)
TOKEN_FILE = "JOBLOT_TOKEN_FILE"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Token:
    """A token, "" for none, and the file that it was read from, "" if it was given as text."""

    text: str = ""
    file: str = ""

    @classmethod
    def of(cls, given: str | None) -> Token:
        """The given token, or the one in the environment.

        Raises InvalidInput if the file that JOBLOT_TOKEN_FILE names can't be read.
        """
        path = os.environ.get(TOKEN_FILE)
        if given is None and TOKEN not in os.environ and path:
            return cls.read(path)
        return cls((given if given is not None else os.environ.get(TOKEN, "")).strip())

    @classmethod
    def read(cls, file: str) -> Token:
        """The token in the file. Raises InvalidInput."""
        try:
            text = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{TOKEN_FILE}={file} can't be read: {error}") from error
        if not is_header(text):
            raise InvalidInput(f"{TOKEN_FILE}={file}: expected visible ASCII, without spaces")
        return cls(text, file)


def is_header(value: str) -> bool:
    """True if a header may hold the value as one word."""
    return value.isascii() and value.isprintable() and " " not in value
