"""Splitting a long list in a JSON body into its entries, in bounded memory.

Only quotes and brackets are examined; what is between them is parsed elsewhere. So an entry that is
invalid JSON, or too large, affects no other, and only one entry is held at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from joblot.contrib.antenna.limits import antenna_limits
from joblot.errors import NotReadable, TooLarge

_IN_A_STRING = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'  # stops at its end, or at a final backslash
_STRING = re.compile(_IN_A_STRING, re.DOTALL)
# Not possessive, although it never backtracks: Python before 3.11.5 would match half a string.
_NO_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"%s"[^"{}\[\]]*+)*' % _IN_A_STRING, re.DOTALL)
_BETWEEN_ENTRIES = b" \t\r\n,"
_QUOTE, _LIST = b'"['


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the list, `size` bytes long; if that is too long, `text` is its beginning."""

    text: bytes
    size: int

    @property
    def whole(self) -> bool:
        return len(self.text) == self.size


def entries(pieces: Iterable[bytes], name: str, bytes_max: int) -> Iterator[Entry]:
    """The entries of the list `name` in the object that `pieces` make up.

    Raises NotReadable if the entries can't be separated (no such list, or no end), TooLarge for
    more brackets than `brackets_max`.
    """
    return _Cutter(name, bytes_max).cut(pieces)


class _Cutter:
    """`depth` counts open brackets: 1 in the object, 2 in its list, more in an entry."""

    def __init__(self, name: str, bytes_max: int) -> None:
        self._name = name
        self._begins = re.compile(rb'"%s"\s*:\s*\Z' % re.escape(name.encode()))
        self._bytes_max = bytes_max
        self._depth = 0
        self._brackets_seen = 0
        self._in_list = False
        self._was_found = False
        self._in_string = False
        self._skip = 0  # bytes at the start of the next piece that a backslash escapes
        self._text = bytearray()
        self._size = 0

    def cut(self, pieces: Iterable[bytes]) -> Iterator[Entry]:
        for piece in pieces:
            kept = 0
            self._require_few(piece)
            for place in self._brackets(piece):
                bracket = piece[place : place + 1]
                if self._is_within_entry(bracket):
                    self._depth += 1 if bracket in b"{[" else -1
                    continue
                self._keep(piece[kept:place])
                kept = place + 1
                yield from self._open(bracket) if bracket in b"{[" else self._close(bracket)
            self._keep(piece[kept:])
        if self._depth or not self._was_found:
            raise NotReadable(f'body: expected {{"{self._name}": […]}}, whole')

    def _require_few(self, piece: bytes) -> None:
        """Raises TooLarge. Brackets in strings count too, which is harmless."""
        self._brackets_seen += piece.count(b"[") + piece.count(b"{")
        most = antenna_limits().brackets_max
        if self._brackets_seen > most:
            raise TooLarge(f"body: expected at most {most} lists and objects; split it", most)

    def _is_within_entry(self, bracket: bytes) -> bool:
        """True if this bracket neither begins nor ends an entry; most don't."""
        return self._in_list and self._depth > (2 if bracket in b"{[" else 3)

    def _brackets(self, piece: bytes) -> Iterator[int]:
        """The positions of the brackets outside strings."""
        at = self._behind_string(piece, self._skip) if self._in_string else 0
        at = _behind_numbers(piece, at)
        while (at := _NO_BRACKET.match(piece, at).end()) < len(piece):  # type: ignore[union-attr]
            if piece[at] == _QUOTE:  # starts a string that does not end in this piece
                self._in_string = True
                self._behind_string(piece, at + 1)
                return
            yield at
            at = _behind_numbers(piece, at + 1) if piece[at] == _LIST else at + 1

    def _behind_string(self, piece: bytes, at: int) -> int:
        """The position after the open string: the piece's end if the string continues."""
        end = _STRING.match(piece, at).end()  # type: ignore[union-attr]
        if end < len(piece) and piece[end] == _QUOTE:
            self._in_string, self._skip = False, 0
            return end + 1
        self._skip = len(piece) - end if at <= len(piece) else at - len(piece)
        return len(piece)

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
        """Text between two entries, if there is any, is an entry as well."""
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


def _behind_numbers(piece: bytes, at: int) -> int:
    """The position of the next bracket or quote, or the piece's end; fast for lists of numbers."""
    end = piece.find(b"]", at)
    end = len(piece) if end < 0 else end
    for other in (b'"', b"[", b"{", b"}"):
        found = piece.find(other, at, end)
        end = end if found < 0 else found
    return end
