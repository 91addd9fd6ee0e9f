"""The traceback of a failure as text: what the user's code did, without joblot's own frames."""

from __future__ import annotations

import traceback
from pathlib import Path

FRAMES_MAX = 100  # of each exception; of a deeper stack these are the last

_OWN = tuple(str(Path(__file__).parent / name) for name in ("worker", "ledger"))


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception and of those that caused it; "" if only joblot's code ran.

    May raise whatever the exception's class raises when it is examined.
    """
    found = traceback.TracebackException(
        type(error), error, error.__traceback__, limit=-FRAMES_MAX, compact=True
    )
    while found.stack and found.stack[0].filename.startswith(_OWN):
        del found.stack[0]
    if not (found.stack or found.__cause__ or found.__context__):
        return ""
    return "".join(found.format()).rstrip("\n")


def without_middle(text: str, longest: int) -> str:
    """The text, at most so long: without its middle, because its head and its end say the most."""
    if len(text) <= longest:
        return text
    left_out = f"\n… {len(text):,} characters, of which the middle is left out …\n"
    room = longest - len(left_out)
    if room < 2:
        return text[-longest:]
    head = room // 4
    return f"{text[:head]}{left_out}{text[head - room :]}"
