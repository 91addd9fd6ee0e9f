"""A set of items by their numbers: a bit for each, however many a job has."""

from __future__ import annotations


class Numbers:
    def __init__(self) -> None:
        self._bits = bytearray()
        self.total = 0

    def add(self, number: int) -> bool:
        """True if it is new."""
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits) + len(self._bits) // 2))
        if self._bits[place] & bit:
            return False
        self._bits[place] |= bit
        self.total += 1
        return True
