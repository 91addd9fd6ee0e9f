"""The cause of a failure, as a fingerprint: failures that differ only in details have the same one.

Pure, and the same on every platform and Python version: a stored fingerprint is compared with later
ones. What identifies one item (numbers, paths, names in quotes) becomes a placeholder.
"""

from __future__ import annotations

import hashlib
import re

CHARS_MAX = 2_000  # of a message; what follows does not distinguish causes
DIGITS = 16  # of a fingerprint, hexadecimal
_DETAIL = "\u241f"  # stands for a detail

# Read as one alternation, so that a message is read once. Each match is linear: a repetition is of
# one class of characters, possessive or bounded, and begins only where a word or a quote begins.
# ASCII, because the classes of other characters depend on the version of Python.
_KINDS = (
    r"(?<![\w+.-])[a-z][a-z0-9+.-]{1,20}+://[^\s'\"<>`]*+",  # a URL
    r"(?<![^\W_])'[^'\n]{0,200}+'(?![^\W_])",  # text in quotes; not an apostrophe
    r'"[^"\n]{0,200}+"',
    r"`[^`'\n]{0,200}+[`']",
    "[\u2018\u201c][^\u2019\u201d\n]{0,200}+[\u2019\u201d]",
    r"(?<![^\W_])[a-z]:\\[^\s'\"<>|:*?]*+",  # a path of Windows
    r"(?<![\w<./~])(?:~|\.{1,2})?/[^\s'\"<>()\[\],;:]++",  # a path
    r"(?<![\w/.-])[\w.-]{1,100}+/[^\s'\"<>()\[\],;:]++",  # a relative path
    r"(?<![^\W_])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![^\W_])",  # a UUID
    r"(?<![^\W_])0x[0-9a-f]++",  # an address
    r"(?<![^\W_])(?=[a-f]{0,64}[0-9])[0-9a-f]{6,}+(?![^\W_])",  # a hash, with a digit
    r"[+-]?[0-9]++(?:[.,:_][0-9]++)*+(?:e[+-]?[0-9]++)?",  # a number, a time, a version
)
_DETAILS = re.compile("|".join(_KINDS), re.IGNORECASE | re.ASCII)
_LISTED = re.compile(rf"{_DETAIL}(?:, ?{_DETAIL})++")  # however long the list is
_SPACE = re.compile(r"\s++", re.ASCII)


def cause_of(error_type: str, message: str) -> str:
    """The fingerprint of a failure: 64 bits of a hash, as 16 hexadecimal digits."""
    text = f"{error_type}\n{normalized(message)}"
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:DIGITS]


def is_cause(text: str) -> bool:
    """Whether this may be a fingerprint."""
    return re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", text) is not None


def normalized(message: str) -> str:
    """The message without its details, on one line."""
    without = _DETAILS.sub(_DETAIL, message[:CHARS_MAX])
    return _LISTED.sub(_DETAIL, _SPACE.sub(" ", without)).strip()
