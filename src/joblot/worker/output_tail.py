"""The end of what a worker process writes to its standard output and error, item by item.

Both descriptors are one pipe, which the supervisor reads: so Python, C code and the programs that a
function starts write to it in their order, and what a process has written survives its death. The
reader keeps the end of it in memory that it shares with the process. A position counts the bytes
that were written to the pipe; the process notes where an item begins and reads what follows, so the
reader need not know about items, and nothing is sent between the two.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import struct
import tempfile
import termios
import time
from array import array

KEPT_BYTES_MAX = 4_000  # of one item
RING_BYTES = 8_192  # more than is kept: others may write on, as a program that the item has started
PIECE_BYTES_MAX = 65_536  # read at once
READ_SECONDS_MAX = 1.0  # for the reader to read what an item has written
PAUSE_SECONDS = 0.000_1  # between two looks at what the reader does
PAUSES_MAX = 1_000  # in one look: the reader may be stopped

COUNT = struct.Struct("=Q")
TWO_COUNTS = struct.Struct("=QQ")
STEP, READ, BEGUN, RING = 0, 8, 16, 24  # where they are in the memory


class OutputTail:
    """The memory has three counts and a ring of bytes, at each byte's position.

    `step` is odd while the reader reads; `read` is the position up to which it has; these two, and
    the ring, are the reader's. `begun` is the position where the current item begins; it is the
    process's.
    """

    def __init__(self, memory: int, pipe: int) -> None:
        """`pipe` is its end for reading. `memory` may be closed afterwards."""
        self._memory = mmap.mmap(memory, RING + RING_BYTES)
        self._pipe = pipe
        self._unread = array("i", [0])

    @staticmethod
    def memory() -> int:
        """A descriptor of new memory, which is gone with its last process. Raises OSError."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("joblot-output")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, RING + RING_BYTES)
        return descriptor

    def read(self) -> bytes:
        """Wait for the next piece, and keep it; empty at the end. There is one reader at a time."""
        readable = select.poll()
        readable.register(self._pipe, select.POLLIN)
        readable.poll()
        step = self._count(STEP) | 1  # it is odd already if the reader before this one was killed
        COUNT.pack_into(self._memory, STEP, step)
        try:
            piece = os.read(self._pipe, PIECE_BYTES_MAX)
            self._append(piece)
        finally:
            COUNT.pack_into(self._memory, STEP, step + 1)
        return piece

    def end(self) -> None:
        """Nothing more is read here."""
        os.close(self._pipe)

    def begin(self) -> None:
        """What the process writes from now on is the next item's."""
        COUNT.pack_into(self._memory, BEGUN, self._position())

    def of_item(self) -> bytes:
        """The end of what was written since `begin`, once it is read; for the process."""
        end, ends_at = self._position(), time.monotonic() + READ_SECONDS_MAX
        while self._count(READ) < end and time.monotonic() < ends_at:
            time.sleep(PAUSE_SECONDS)
        return self._between(self._count(BEGUN), end)

    def of_ended(self) -> bytes:
        """The end of what was read since `begin`; for the reader, once the process has ended."""
        return self._between(self._count(BEGUN), self._count(READ))

    def _position(self) -> int:
        """How much has been written so far: what is read, and what waits in the pipe."""
        for _ in range(PAUSES_MAX):
            step, read = TWO_COUNTS.unpack_from(self._memory, STEP)
            if step % 2 == 0:
                try:
                    fcntl.ioctl(self._pipe, termios.FIONREAD, self._unread)
                except OSError:  # the function has closed it
                    self._unread[0] = 0
                if self._count(STEP) == step:
                    break
            time.sleep(PAUSE_SECONDS)
        return int(read) + self._unread[0]

    def _between(self, first: int, last: int) -> bytes:
        for _ in range(PAUSES_MAX):
            step, read = TWO_COUNTS.unpack_from(self._memory, STEP)
            end = min(last, read)
            begin = max(first, end - KEPT_BYTES_MAX, read - RING_BYTES)
            kept = self._ring(begin, max(begin, end))
            if step % 2 == 0 and self._count(STEP) == step:
                break
            time.sleep(PAUSE_SECONDS)
        return kept

    def _ring(self, first: int, last: int) -> bytes:
        """The bytes at these positions, fewer than fit in it."""
        at, size = first % RING_BYTES, last - first
        upper = self._memory[RING + at : RING + min(at + size, RING_BYTES)]
        return upper + self._memory[RING : RING + size - len(upper)]

    def _append(self, piece: bytes) -> None:
        read = self._count(READ) + len(piece)
        last = piece[-RING_BYTES:]
        at = (read - len(last)) % RING_BYTES
        upper = last[: RING_BYTES - at]
        lower = last[len(upper) :]
        self._memory[RING + at : RING + at + len(upper)] = upper
        self._memory[RING : RING + len(lower)] = lower
        COUNT.pack_into(self._memory, READ, read)

    def _count(self, at: int) -> int:
        return int(COUNT.unpack_from(self._memory, at)[0])
