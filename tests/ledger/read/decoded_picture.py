"""A reader of the bytes of a picture, written from docs/reference/map.md, one item at a time."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Decoded:
    encoding: int
    legend: int
    run: int
    as_of_us: int
    counts: tuple[int, ...]
    cells: bytes


def decoded(body: bytes, base: bytes = b"") -> Decoded:
    magic, encoding, legend, zero, items, run, us, *counts = struct.unpack_from("<4sBBHIIQ8I", body)
    assert (magic, zero) == (b"JLM1", 0)
    read = {0: _packed, 1: _runs, 2: _changed}[encoding]
    cells = read(body[56:], items, base)
    assert len(cells) == items
    return Decoded(encoding, legend, run, us, tuple(counts), cells)


def _packed(body: bytes, items: int, base: bytes) -> bytes:
    bits = "".join(f"{byte:08b}" for byte in body)
    return bytes(int(bits[3 * n : 3 * n + 3], 2) for n in range(items))


def _runs(body: bytes, items: int, base: bytes) -> bytes:
    return b"".join(bytes([number & 7]) * (number >> 3) for number in _varints(body))


def _changed(body: bytes, items: int, base: bytes) -> bytes:
    cells, at, numbers = bytearray(base), 0, _varints(body)
    for skipped in numbers:
        run = next(numbers)
        at += skipped
        cells[at : at + (run >> 3)] = bytes([run & 7]) * (run >> 3)
        at += run >> 3
    return bytes(cells)


def _varints(body: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in body:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number
            number = shift = 0
