"""JSON with limits: on the depth of nesting, and on the number of values in one text.

Parsers, serializers and databases each have their own limit on nesting, for some the thread's
stack. `json_depth_max` is far below all of them, so a value that is accepted in one place can be
written, stored and read in every other. Nothing here recurses, and a text is measured before it is
parsed: its objects can take a hundred times as much memory as the text.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from joblot.config import limits
from joblot.errors import TooLarge
from joblot.shown import deeper_than

ENVELOPE = 8  # levels that a request may put around a value
CONTAINER_WEIGHT = 8  # in values: an empty object takes as much memory as eight small numbers

_MEASURED_BYTES = 1_048_576  # at a time
_BACKSLASH = b"\\"
_STRUCTURE = b'"[]{},'
_OTHERS = bytes(set(range(256)) - set(_STRUCTURE))
_STRING = re.compile(rb'"[^"]*"')
_NO_BACKSLASH = re.compile(rb"[^\\]")
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: one deeper, one less deep
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}]', re.DOTALL)


class Unreadable(str):
    """A placeholder for a stored value that can't be read: the reason as text."""

    __slots__ = ()


def is_too_deep(value: Any) -> bool:
    """True if a Python value nests lists and objects deeper than `json_depth_max`."""
    return deeper_than(value, limits().json_depth_max)


def too_deep() -> str:
    """The message for such a value."""
    return (
        f"expected JSON nested at most {limits().json_depth_max} levels deep, got more; flatten it"
    )


def stored(text: str) -> Any:
    """The value of a JSON text from a database or the storage; Unreadable if it can't be read.

    The text may have been written by another program, or under a higher limit.
    """
    if is_text_too_deep(text):
        return Unreadable(f"it is nested deeper than {limits().json_depth_max} levels")
    try:
        return json.loads(text)
    except ValueError as error:
        return Unreadable(f"it is not JSON that can be read: {error}")


def is_text_too_deep(text: str, around: int = 0) -> bool:
    """True if a JSON text, without `around` outer levels, nests deeper than `json_depth_max`."""
    most = limits().json_depth_max + around
    if text.count("[") + text.count("{") <= most:
        return False
    return max(depth for _, depth in _measured(text.encode(errors="replace"))) > most


def within_bounds(text: bytes) -> bytes:
    """The JSON text of a request, made safe to parse.

    Values nested deeper than any valid value of a request are cut off just below the limit: the
    rest is still too deep, so only the item or result that contains it is refused. Raises TooLarge
    for more values than `json_values_max`. Text that is not JSON may pass; the parser rejects it.
    """
    most, values, deepest = limits().json_values_max, 1, 0
    for weight, depth in _measured(text):
        values += weight
        deepest = max(deepest, depth)
        if values > most:
            raise TooLarge(
                f"body: expected at most {most} JSON values (an object or a list counts as "
                f"{CONTAINER_WEIGHT}); split it",
                most,
            )
    deepest_allowed = limits().json_depth_max + ENVELOPE
    return text if deepest <= deepest_allowed else _pruned(text, deepest_allowed)


def _measured(text: bytes) -> Iterator[tuple[int, int]]:
    """For each chunk of the text: the weight of its values, and its deepest level."""
    depth, in_string, at = 0, False, 0
    while at < len(text):
        end = at + _MEASURED_BYTES
        if text[end - 1 : end] == _BACKSLASH:  # don't separate it from the character it escapes
            following = _NO_BACKSLASH.search(text, end)
            end = following.end() if following else len(text)
        structure, in_string = _structure(text[at:end], in_string)
        weight = structure.count(b",")
        brackets = structure.translate(_STEPS, b",")
        steps = array("b", brackets)
        weight += CONTAINER_WEIGHT * brackets.count(b"\x01")
        yield weight, max(accumulate(steps, initial=depth))
        depth += sum(steps)
        at = end


def _structure(piece: bytes, in_string: bool) -> tuple[bytes, bool]:
    """The brackets and commas outside strings, and whether the piece ends inside a string."""
    if _BACKSLASH in piece:
        piece = piece.replace(rb"\\", b"").replace(rb"\"", b"")
    left = piece.translate(None, _OTHERS).replace(
        b'""', b""
    )  # whose other quotes stay what they are
    if b'"' in left:
        if in_string:
            left = left.partition(b'"')[2]
        left, unended, _ = _STRING.sub(b"", left).partition(b'"')
        return left, bool(unended)
    return (b"" if in_string else left), in_string


def _pruned(text: bytes, depth_max: int) -> bytes:
    """The text, with each list and object below `depth_max` levels replaced by null."""
    kept: list[bytes] = []
    depth = at = 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in (b"[", b"{"):
            depth += 1
            if depth == depth_max + 1:
                kept.append(text[at : found.start()])
        elif token in (b"]", b"}"):
            if depth == depth_max + 1:
                kept.append(b"null")
                at = found.end()
            depth -= 1
    if depth <= depth_max:  # otherwise the text is truncated and not JSON
        kept.append(text[at:])
    return b"".join(kept)
