"""What the command line prints: every line of it goes through here, and brings no control codes.

A key, a message or an error may hold any character. Raw, an ESC would move the cursor or colour the
terminal, and a newline would look like a line of joblot's own. Imports neither Rich nor Django.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

# C0, DEL and C1, and what reverses the direction of what follows.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_JSON_CONTROLS = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # json escapes the others


def printable(text: str) -> str:
    """The text on one line, each control character in it as its escape: `\\x1b`, `\\n`."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def say(line: str) -> None:
    """A line of standard output."""
    print(printable(line))


def say_aside(line: str) -> None:
    """A line of standard error, for people, where no terminal is drawn on."""
    print(printable(line), file=sys.stderr, flush=True)


def say_row(cells: Sequence[str]) -> None:
    """A row of a table, for programs: the cells between tabs."""
    print("\t".join(map(printable, cells)))


def say_page(text: str) -> None:
    """Several lines of standard output."""
    for line in text.splitlines():
        say(line)


def say_json(value: Any, *, indent: int | None = 2) -> None:
    print(json_text(value, indent=indent), flush=True)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON as people read it, but for control characters, of which json escapes some only."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _JSON_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
