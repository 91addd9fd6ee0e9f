"""The bytes of a picture, `application/vnd.joblot.map`: see docs/reference/map.md.

A million cells are a few milliseconds of work, as everything that touches each of them is one call
of bytes or of a large integer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from itertools import compress, pairwise

from joblot.ledger.read.picture import Picture

MEDIA_TYPE = "application/vnd.joblot.map"
_HEADER = struct.Struct("<4sBBHIIQ8I")
_MAGIC = b"JLM1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORT = 1 << 14  # varints below this are in a table
_CHANGED = 8  # a bit beside the code
_MARKED = bytes([0]) + bytes([0xFF]) * 255
_WITH_BIT = bytes(byte % 8 | _CHANGED for byte in range(256))
_OCTAL = bytes(0x30 + byte % 8 for byte in range(256))


class Encoding(IntEnum):
    PACKED = 0  # three bits per item
    RUNS = 1  # varints of length << 3 | code
    CHANGES = 2  # pairs of varints: items left alone, then length << 3 | code


def whole(picture: Picture) -> bytes:
    """All cells, as runs or packed, whichever is shorter."""
    cells = picture.cells
    packed_bytes = (3 * len(cells) + 7) // 8
    if _boundaries_total(cells) < packed_bytes:
        runs = _varints((end - begins) << 3 | cells[begins] for begins, end in _runs(cells))
        if len(runs) < packed_bytes:
            return _header(picture, Encoding.RUNS) + runs
    return _header(picture, Encoding.PACKED) + _packed(cells)


def changes(before: Picture, after: Picture, most: int) -> bytes | None:
    """What differs between two pictures of the same items; None for more than `most` runs."""
    if (before.legend, len(before.cells)) != (after.legend, len(after.cells)):
        return None
    numbers: list[int] = []
    at = 0
    for begins, end, code in _changed(before.cells, after.cells):
        if len(numbers) == 2 * most:
            return None
        numbers += (begins - at, (end - begins) << 3 | code)
        at = end
    return _header(after, Encoding.CHANGES) + _varints(numbers)


def _header(picture: Picture, encoding: Encoding) -> bytes:
    us = (picture.as_of - _EPOCH) // timedelta(microseconds=1)
    items, counts = len(picture.cells), picture.counts
    return _HEADER.pack(_MAGIC, encoding, picture.legend, 0, items, picture.run, us, *counts)


def _packed(cells: bytes) -> bytes:
    """Three bits per item, the first item in the highest bits; zeros fill the last byte."""
    size = (3 * len(cells) + 7) // 8
    digits = cells.translate(_OCTAL) + b"0" * (-len(cells) % 8)
    return int(digits or b"0", 8).to_bytes((len(digits) * 3) // 8, "big")[:size]


def _boundaries(cells: bytes) -> bytes:
    """A byte per item but the first: 0 if it has the code of the item before it."""
    left, right = int.from_bytes(cells[:-1], "big"), int.from_bytes(cells[1:], "big")
    return (left ^ right).to_bytes(max(0, len(cells) - 1), "big")


def _boundaries_total(cells: bytes) -> int:
    return len(cells) and len(cells) - 1 - _boundaries(cells).count(0)


def _runs(cells: bytes) -> Iterator[tuple[int, int]]:
    """(first, end) of each run of equal codes."""
    begins = compress(range(1, len(cells)), _boundaries(cells))
    return pairwise((0, *begins, len(cells))) if cells else iter(())


def _changed(before: bytes, after: bytes) -> Iterator[tuple[int, int, int]]:
    """(first, end, code) of each run of changed items with the same new code."""
    size = len(after)
    differs = int.from_bytes(before, "big") ^ int.from_bytes(after, "big")
    mask = int.from_bytes(differs.to_bytes(size, "big").translate(_MARKED), "big")
    marked = (mask & int.from_bytes(after.translate(_WITH_BIT), "big")).to_bytes(size, "big")
    for first, end in _runs(marked):
        if marked[first]:
            yield first, end, after[first]


def _varints(numbers: Iterable[int]) -> bytes:
    return b"".join(_VARINTS[one] if one < _SHORT else _varint(one) for one in numbers)


def _varint(number: int) -> bytes:
    """Seven bits per byte, the lowest first; all bytes but the last have the highest bit."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_VARINTS = tuple(_varint(number) for number in range(_SHORT))
