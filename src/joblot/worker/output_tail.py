"""The last bytes that a worker process writes to its standard output and error, item by item.

Both descriptors are one pipe, which the supervisor reads. So the output of Python, C code and the
programs that a function starts is in the order of the writes, and it survives the process. The
reader keeps the last bytes in memory that it shares with the process. A *position* is the number of
bytes written to the pipe before it. The process notes the position at which an item begins, so the
reader need not know about items, and the two exchange no messages.
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

from joblot.worker.flushing import flush_output

KEPT_BYTES_MAX = 4_000  # of one item
RING_BYTES = 8_192  # more than is kept, because a program that the item started may write on
PIECE_BYTES_MAX = 65_536  # read at once
READ_SECONDS_MAX = 1.0  # to wait for the reader to read what an item has written
PAUSE_SECONDS = 0.000_1  # between two attempts to read the shared memory consistently
PAUSES_MAX = 1_000  # then the attempts end, because the reader may be stopped

COUNT = struct.Struct("=Q")
UNKNOWN = 2**64 - 1  # as a position
TWO_COUNTS = struct.Struct("=QQ")
STEP, READ, BEGUN, RING = 0, 8, 16, 24  # offsets in the memory


class OutputTail:
    """One side of the shared memory, which holds three counts and a ring of bytes.

    `step` is odd while the reader reads, and `read` is the position up to which it has read. Only
    the reader writes these two and the ring, in which a byte is at its position modulo the size.
    `begun` is the position at which the current item begins; only the process writes it.
    """

    def __init__(self, memory: int, pipe: int) -> None:
        """`pipe` is the pipe's read end. `memory` may be closed afterwards."""
        self._memory = mmap.mmap(memory, RING + RING_BYTES)
        self._pipe = pipe
        self._unread = array("i", [0])

    @staticmethod
    def memory() -> int:
        """A descriptor of new memory, freed once no process has it open. Raises OSError."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("joblot-output")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, RING + RING_BYTES)
        return descriptor

    def read(self) -> bytes:
        """Wait for the next piece, and keep its last bytes; empty at the end of the pipe.

        There is only one reader at a time.
        """
        readable = select.poll()
        readable.register(self._pipe, select.POLLIN)
        readable.poll()
        step = self._count(STEP) | 1  # already odd if the previous reader was killed
        COUNT.pack_into(self._memory, STEP, step)
        try:
            piece = os.read(self._pipe, PIECE_BYTES_MAX)
            self._append(piece)
        finally:
            COUNT.pack_into(self._memory, STEP, step + 1)
        return piece

    def close(self) -> None:
        """Close the read end of the pipe."""
        os.close(self._pipe)

    def begin(self) -> None:
        """Begin an item, in the process: what is written from now on belongs to it."""
        flush_output()
        COUNT.pack_into(self._memory, BEGUN, self._position())

    def item_output(self) -> bytes:
        """The last `KEPT_BYTES_MAX` bytes written since `begin`, in the process.

        Waits up to `READ_SECONDS_MAX` until the reader has read them.
        """
        flush_output()
        end, ends_at = self._position(), time.monotonic() + READ_SECONDS_MAX
        if UNKNOWN in {end, self._count(BEGUN)}:
            return b""
        while self._count(READ) < end and time.monotonic() < ends_at:
            time.sleep(PAUSE_SECONDS)
        return self._between(self._count(BEGUN), end)

    def end(self) -> None:
        """End an item. What is written until the next one begins is not kept with any."""

    def last_output(self) -> bytes:
        """The last `KEPT_BYTES_MAX` bytes read since `begin`, in the reader.

        These are the last item's once the process has ended.
        """
        return self._between(self._count(BEGUN), self._count(READ))

    def _position(self) -> int:
        """The number of bytes written so far: those read, and those still in the pipe.

        `UNKNOWN` if the reader is in the middle of a read all the time, as it may be if its process
        is short of CPU: then nothing is kept, rather than what another item has written.
        """
        for _ in range(PAUSES_MAX):
            step, read = TWO_COUNTS.unpack_from(self._memory, STEP)
            if step % 2 == 0:
                try:
                    fcntl.ioctl(self._pipe, termios.FIONREAD, self._unread)
                except OSError:  # the function has closed it
                    self._unread[0] = 0
                if self._count(STEP) == step:
                    return int(read) + self._unread[0]
            time.sleep(PAUSE_SECONDS)
        return UNKNOWN

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
        """The bytes at the positions from `first` to before `last`, at most `RING_BYTES`."""
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
