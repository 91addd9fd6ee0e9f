"""Prints the lines of the command line, all of them, without control codes.

A key, a message or an error may contain any character. Unescaped, an ESC could move the cursor or
color the terminal, and a newline could fake a line of joblot's. Imports neither Rich nor Django.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

# C0, DEL, C1, and the characters that change the direction of text.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_JSON_CONTROLS = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # json escapes the others


def printable(text: str) -> str:
    """The text on one line, with each control character escaped: `\\x1b`, `\\n`."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def say(line: str) -> None:
    """Print a line to standard output."""
    print(printable(line))


def say_aside(line: str) -> None:
    """Print a line for people to standard error, where no progress bars are drawn."""
    print(printable(line), file=sys.stderr, flush=True)


def say_on(stream: TextIO, text: str) -> None:
    """Print text that is printable already, and may have several lines."""
    print(text, file=stream, flush=True)


def say_row(cells: Sequence[str]) -> None:
    """Print a row of a table for programs: cells separated by tabs."""
    print("\t".join(map(printable, cells)))


def say_page(text: str) -> None:
    """Print several lines to standard output."""
    for line in text.splitlines():
        say(line)


def say_json(value: Any, *, indent: int | None = 2, flush: bool = True) -> None:
    print(encodable_json(value, indent=indent), flush=flush)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Readable JSON, with every control character escaped; json itself escapes only some."""
    return _json(value, indent, ascii_only=False)


def encodable_json(value: Any, *, indent: int | None = None) -> str:
    """Like `json_text`, with `\\u` escapes if the encoding of standard output lacks a character."""
    text = json_text(value, indent=indent)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return _json(value, indent, ascii_only=True)
    return text


def _json(value: Any, indent: int | None, *, ascii_only: bool) -> str:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    return _JSON_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
