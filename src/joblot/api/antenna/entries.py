"""Cutting a long list in a JSON body into its entries, in bounded memory.

Only quotes and brackets are looked at; what is between them is for others to judge. So an entry
that is no JSON, or too large, harms no other, and no more than one is held.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from joblot.errors import NotReadable

_OUTSIDE_A_STRING = re.compile(rb'["{}\[\]]')
_INSIDE_A_STRING = re.compile(rb'["\\]')
_BETWEEN_ENTRIES = b" \t\r\n,"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the list, `size` bytes long; where that is too long, `text` is its beginning."""

    text: bytes
    size: int

    @property
    def whole(self) -> bool:
        return len(self.text) == self.size


def entries(pieces: Iterable[bytes], name: str, bytes_max: int) -> Iterator[Entry]:
    """The entries of the list `name` in the object that `pieces` add up to.

    Raises NotReadable where no entry can be told from the next: no such list, or no end.
    """
    return _Cutter(name, bytes_max).cut(pieces)


class _Cutter:
    """`depth` counts open brackets: 1 in the object, 2 in its list, more in an entry."""

    def __init__(self, name: str, bytes_max: int) -> None:
        self._name = name
        self._begins = re.compile(rb'"%s"\s*:\s*\Z' % re.escape(name.encode()))
        self._bytes_max = bytes_max
        self._depth = 0
        self._in_list = False
        self._was_found = False
        self._in_string = False
        self._skip = 0  # bytes of the next piece that a backslash has taken away
        self._text = bytearray()
        self._size = 0

    def cut(self, pieces: Iterable[bytes]) -> Iterator[Entry]:
        for piece in pieces:
            at = 0
            for place in self._brackets(piece):
                self._keep(piece[at:place])
                at = place + 1
                bracket = piece[place:at]
                yield from self._open(bracket) if bracket in b"{[" else self._close(bracket)
            self._keep(piece[at:])
        if self._depth or not self._was_found:
            raise NotReadable(f'body: expected {{"{self._name}": […]}}, whole')

    def _brackets(self, piece: bytes) -> Iterator[int]:
        """Where the brackets are that are not inside a string."""
        at = self._skip
        while True:
            wanted = _INSIDE_A_STRING if self._in_string else _OUTSIDE_A_STRING
            found = wanted.search(piece, at)
            if found is None:
                self._skip = max(0, at - len(piece))
                return
            at = found.end()
            if found[0] == b'"':
                self._in_string = not self._in_string
            elif found[0] == b"\\":
                at += 1
            else:
                yield found.start()

    def _open(self, bracket: bytes) -> Iterator[Entry]:
        if self._depth == 0 and bracket != b"{":
            raise NotReadable(f'body: expected an object, {{"{self._name}": […]}}')
        if self._in_list and self._depth == 2:
            yield from self._loose()
        elif not self._in_list:
            listed = self._depth == 1 and bracket == b"[" and self._begins.search(self._text)
            self._in_list = bool(listed)
            self._take()
        self._depth += 1
        if self._depth > 2:
            self._keep(bracket)

    def _close(self, bracket: bytes) -> Iterator[Entry]:
        self._depth -= 1
        if not self._in_list:
            self._take()
        elif self._depth == 1:
            if bracket != b"]":
                raise NotReadable(f"body: {self._name}: expected ] at the end of the list")
            yield from self._loose()
            self._in_list, self._was_found = False, True
        else:
            self._keep(bracket)
            if self._depth == 2:
                yield self._take()

    def _loose(self) -> Iterator[Entry]:
        """What stands between two entries is one too, if it is anything."""
        loose = self._take()
        if text := loose.text.strip(_BETWEEN_ENTRIES):
            yield Entry(text, len(text) if loose.whole else loose.size)

    def _keep(self, text: bytes) -> None:
        self._size += len(text)
        self._text += text[: self._bytes_max - len(self._text)]

    def _take(self) -> Entry:
        entry = Entry(bytes(self._text), self._size)
        self._text.clear()
        self._size = 0
        return entry
