"""Values on which a parser, a serializer or a database may fail.

Every entry point of joblot is tried with each of them. `text` is the JSON that a client in another
language may send.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

DEEPEST = 100  # `json_depth_max`


def nested(levels: int, opening: str = "[", inner: str = "1", closing: str = "]") -> str:
    return opening * levels + inner + closing * levels


def deep(levels: int) -> Any:
    """Nested lists, built without a parser, which might refuse them."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@dataclass(frozen=True)
class Hostile:
    """A JSON text. `kept`: joblot accepts it as a value; `json`: it is valid JSON."""

    name: str
    text: str
    kept: bool
    json: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def encoded(self) -> bytes:
        return self.text.encode("utf-8", errors="surrogatepass")


HOSTILE = [
    Hostile("as deep as may be", nested(DEEPEST), kept=True),
    Hostile("one level too deep", nested(DEEPEST + 1), kept=False),
    Hostile("deeper than its parser", nested(250), kept=False),
    Hostile("600 deep", nested(600), kept=False),
    Hostile("objects 600 deep", nested(600, '{"a":', "1", "}"), kept=False),
    Hostile("970 deep", nested(970), kept=False),
    Hostile("100,000 deep", nested(100_000), kept=False),
    Hostile("brackets in a string", json.dumps("[{" * 500 + '"\\'), kept=True),
    Hostile("U+0000", '"a\\u0000b"', kept=False),
    Hostile("U+0000 in a name", '{"a\\u0000b": 1}', kept=False),
    Hostile("a backslash before u0000", r'"\\u0000"', kept=True),
    Hostile("a lone surrogate", '"\\ud800"', kept=False),
    Hostile("a lone surrogate as bytes", '"\ud800"', kept=False),
    Hostile("a lone surrogate in a name", '{"\\udfff": 1}', kept=False),
    Hostile("1e400", "1e400", kept=False),
    Hostile("1e308", "1e308", kept=True),
    Hostile("1e-400", "1e-400", kept=True),
    Hostile("400 digits", "9" * 400, kept=True),
    Hostile("4,300 digits", "9" * 4_300, kept=True),
    Hostile("5,000 digits", "9" * 5_000, kept=False),
    Hostile("2^63", str(2**63), kept=True),
    Hostile("the same name twice", '{"a": 1, "a": 2}', kept=True),
    Hostile("a name of 100,000 characters", json.dumps({"k" * 100_000: 1}), kept=True),
    Hostile("an empty name", '{"": {"": []}}', kept=True),
    Hostile("not a number", "NaN", kept=False, json=False),
    Hostile("infinity", "[-Infinity]", kept=False, json=False),
]
JSON = [one for one in HOSTILE if one.json]


def with_each(call: Callable[[Hostile], object], values: Iterable[Hostile] = HOSTILE) -> None:
    """Pass each value to `call` in turn, on one database; a failure names the value."""
    for value in values:
        try:
            call(value)
        except Exception as error:
            error.add_note(f"with: {value}")
            raise
