"""The cells of a picture: one byte per item, its code, filled from blocks of outcomes and spans.

Items come in blocks of consecutive numbers, each as one text (see settled_by_block.sql), so that a
million items are a few hundred rows, in any order. What is not settled has few rows of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import IntEnum

from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import connection
from joblot.states import ItemState

BLOCK_ITEMS = 4_096  # (BLOCK_ITEMS + 1) * 8 stays below the surrogates, which are no characters
BLOCKS_BATCH = 256  # that one statement reads, so that the rows in memory are few


class Code(IntEnum):
    """What a cell says of its item; `picture.Legend` names the meanings that depend on the job."""

    READY = 0
    WAITING = 1
    IN_FLIGHT = 2
    SUCCEEDED = 3
    FAILED = 4
    LOST = 5
    SKIPPED = 6
    ABSENT = 7


_CODE_OF: dict[int, Code] = {
    ItemState.SUCCEEDED: Code.SUCCEEDED,
    ItemState.FAILED: Code.FAILED,
    ItemState.LOST: Code.LOST,
    ItemState.SKIPPED: Code.SKIPPED,
}
# By the low byte of a character, whose last three bits are the state.
_CODES = bytes(_CODE_OF.get(byte % 8, Code.READY) for byte in range(256))
_NOT_ARRIVED = 8  # a bit beside the code, while two stages are put together
_NOT_SUCCEEDED = bytes(0 if byte == Code.SUCCEEDED else _NOT_ARRIVED for byte in range(256))
_ARRIVED_ONLY = bytes(
    Code.ABSENT if byte == _NOT_ARRIVED | Code.READY else byte % 8 for byte in range(256)
)


def onto(code: Code, *replaced: Code) -> bytes:
    """A table for `Cells.paint`: `code` replaces these codes and leaves all others."""
    return bytes(code if byte in replaced else byte for byte in range(256))


class Cells:
    """Items `first` to `last` of a job, all of them ready until something else is put there."""

    def __init__(self, job_id: int, first: int, last: int) -> None:
        self._job_id = job_id
        self._first, self._last = first, last
        self.blocks = range(first // BLOCK_ITEMS, last // BLOCK_ITEMS + 1) if last >= first else ()
        self._from = self.blocks[0] * BLOCK_ITEMS if self.blocks else 0
        self._cells = bytearray(len(self.blocks) * BLOCK_ITEMS)

    def settle(self, stage: int, *, complete: Collection[int] = ()) -> None:
        """Put what was settled in this stage; all items of `complete` blocks are settled, and those
        that `give_up` does not name succeeded.
        """
        for block in complete:
            at = self._at(block * BLOCK_ITEMS)
            self._cells[at : at + BLOCK_ITEMS] = bytes([Code.SUCCEEDED]) * BLOCK_ITEMS
        unknown = [block for block in self.blocks if block not in complete]
        self._read("read/settled_by_block", unknown, stage=stage)

    def give_up(self, stage: int, *, skipped: bool) -> None:
        """Put what failed or was lost in this stage or before it, where it may be `skipped`."""
        self._read("read/given_up_by_block", self.blocks, stage=stage, skipped=skipped)

    def arrive(self, before: Cells) -> None:
        """Items that did not succeed in the stage `before` and are not settled are absent."""
        held = int.from_bytes(before._cells.translate(_NOT_SUCCEEDED), "big")
        both = held | int.from_bytes(self._cells, "big")
        self._cells = bytearray(both.to_bytes(len(self._cells), "big").translate(_ARRIVED_ONLY))

    def paint(self, spans: Iterable[tuple[int, int]], table: bytes) -> None:
        """Change the codes of items, given as (first, last), by a table of `onto`."""
        for first, last in spans:
            begins, ends = max(first, self._first), min(last, self._last) + 1
            if begins < ends:
                part = slice(self._at(begins), self._at(ends))
                self._cells[part] = self._cells[part].translate(table)

    def complete(self) -> frozenset[int]:
        """The blocks in which every item is settled, to be called before any `paint`."""
        return frozenset(block for block in self.blocks if self._is_settled(block))

    def as_bytes(self) -> bytes:
        return bytes(self._cells[self._at(self._first) : self._at(self._last + 1)])

    def _is_settled(self, block: int) -> bool:
        begins = self._at(block * BLOCK_ITEMS)
        return self._cells.find(Code.READY, begins, begins + BLOCK_ITEMS) < 0

    def _at(self, number: int) -> int:
        return number - self._from

    def _read(self, name: str, blocks: Collection[int], **asked: int) -> None:
        numbers = list(blocks)
        for begin in range(0, len(numbers), BLOCKS_BATCH):
            batch = numbers[begin : begin + BLOCKS_BATCH]
            rows = fetch(
                connection(), name, job=self._job_id, blocks=batch, size=BLOCK_ITEMS, **asked
            )
            for block, text in rows:
                if text:
                    self._put(self._at(block * BLOCK_ITEMS), text)

    def _put(self, at: int, text: str) -> None:
        """Put a block's items. A full one needs no look at each: sorted, they are in order."""
        if len(text) == BLOCK_ITEMS:
            low = "".join(sorted(text)).encode("utf-16-le")[::2]
            self._cells[at : at + BLOCK_ITEMS] = low.translate(_CODES)
            return
        for character in memoryview(text.encode("utf-16-le")).cast("H"):
            self._cells[at + (character >> 3) - 1] = _CODES[character & 7]
