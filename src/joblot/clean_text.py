"""Text from outside, in a form that every database can store and every reader can show."""

from __future__ import annotations

import re

# C0 without tab and newline, DEL, C1, and the characters that change the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CUT = " … "


def clean(text: str) -> str:
    """The text with control characters escaped (`\\x1b`), and without lone surrogates.

    Unescaped, an ESC could move the cursor of a terminal in which the text is read.
    """
    text = text.replace("\r\n", "\n").encode(errors="replace").decode()
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def shortened(text: str, chars_max: int) -> str:
    """The text, or its beginning and its end: a traceback ends with the error."""
    if len(text) <= chars_max:
        return text
    if chars_max <= len(_CUT):
        return text[:chars_max]
    kept = chars_max - len(_CUT)
    return f"{text[: kept - kept // 2]}{_CUT}{text[len(text) - kept // 2 :]}"
