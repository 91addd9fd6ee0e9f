"""JSON text that is identical for equal values, which identifies a repeated result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from decimal import Decimal
from json import encoder
from math import isfinite
from typing import Any

from joblot.bounded_json import is_too_deep, too_deep
from joblot.errors import InvalidResult

_ENCODER = json.JSONEncoder(
    allow_nan=False, sort_keys=True, separators=(",", ":"), ensure_ascii=False
)


def _made_once(plain: json.JSONEncoder) -> Callable[[Any], str]:
    """`plain.encode` without its setup for each call, which takes half of the time.

    Circular values are not looked for, so the depth of a value must have been checked.
    """
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return plain.encode
    quoted, separators = encoder.encode_basestring, (plain.key_separator, plain.item_separator)
    flags = plain.sort_keys, plain.skipkeys, plain.allow_nan
    pieces = make(None, plain.default, quoted, None, *separators, *flags)
    return lambda value: "".join(pieces(value, 0))


_encode = _made_once(_ENCODER)
_PLAIN = frozenset({str, int, bool, type(None)})  # neither nested nor a float


def canonical(value: Any) -> str:
    """`value` as JSON text, identical for equal values.

    Raises InvalidResult for what no database can store: NaN, infinities, U+0000, lone surrogates,
    values nested too deeply, or anything that isn't JSON.
    """
    is_plain = type(value) is dict and _PLAIN.issuperset(map(type, value.values()))
    # First: the encoder goes as deep as the stack, and a thread's is small.
    if not is_plain and is_too_deep(value):
        raise InvalidResult(too_deep())
    try:
        text = _encode(value)
        text.encode()
    except (TypeError, ValueError) as error:
        where = _not_finite(value) if isinstance(error, ValueError) else None
        why = (
            f": {error}" if where is None else f", which has no NaN and no infinity: found {where}"
        )
        raise InvalidResult(f"expected a JSON value{why}") from error
    text = without_nul(text)
    return text if is_plain else with_fractions(text)


def _not_finite(value: Any, path: str = "") -> str | None:
    """The first such number, and where it is: `nan at boxes[3].score`. `value` is not too deep."""
    if isinstance(value, float):
        return None if isfinite(value) else f"{value}{f' at {path}' if path else ''}"
    if isinstance(value, dict):
        inner = ((f"{path}.{key}" if path else str(key), one) for key, one in value.items())
    elif isinstance(value, (list, tuple)):
        inner = ((f"{path}[{n}]", one) for n, one in enumerate(value))
    else:
        return None
    return next((found for at, one in inner if (found := _not_finite(one, at))), None)


def without_nul(text: str) -> str:
    """Return the JSON text unchanged. Raises InvalidResult if it contains U+0000."""
    if "\\u0000" in text and "\\u0000" in text.replace("\\\\", ""):
        raise InvalidResult("expected text without the character U+0000; remove it")
    return text


_LARGE = re.compile(r"\d[eE]\+?\d")  # perhaps such a number, perhaps a part of a string
_LARGE_OR_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?[eE]\+?\d+', re.DOTALL)


def with_fractions(text: str) -> str:
    """The JSON text with floats like `1e+22` written as `10000000000000000000000.0`.

    PostgreSQL stores the digits of a number, so without a fraction it would return an integer.
    """
    if _LARGE.search(text) is None:
        return text
    return _LARGE_OR_STRING.sub(_with_fraction, text)


def _with_fraction(found: re.Match[str]) -> str:
    number = found[0]
    if number.startswith('"'):
        return number
    digits = format(Decimal(number), "f")
    return digits if "." in digits else f"{digits}.0"


def is_storable(text: str) -> bool:
    """False for text with U+0000 or lone surrogates, which no database can store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def result_hash(canonical_output: str) -> bytes:
    """Distinguishes a repeated success from a different one: 32 bytes of SHA-256."""
    return hash_of(canonical_output.encode())


def hash_of(encoded: bytes) -> bytes:
    """The same of a text that is encoded already."""
    return hashlib.sha256(encoded).digest()
