"""Which items of a job a submission has named: a bit for each, by the items' dense numbers."""

from __future__ import annotations


class Seen:
    """A set of item numbers. A million items take 128 KiB, in any order."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, number: int) -> None:
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        if not self._bits[place] & bit:
            self._bits[place] |= bit
            self._count += 1

    @property
    def bytes_held(self) -> int:
        return len(self._bits)
