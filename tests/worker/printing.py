"""The output of a worker process, within this process: the pipe, its writer and its reader."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from joblot.worker.output_tail import OutputTail


class Output:
    """`reader` is the supervisor's side of the output, `tail` the side of the worker process."""

    def __init__(self) -> None:
        pipe, self._written = os.pipe()
        memory = OutputTail.memory()
        self.reader, self.tail = OutputTail(memory, os.dup(pipe)), OutputTail(memory, pipe)
        os.close(memory)

    def write(self, data: bytes | str) -> None:
        left = memoryview(data.encode() if isinstance(data, str) else data)
        while left:
            left = left[os.write(self._written, left) :]

    def close(self) -> None:
        os.close(self._written)

    def read_all(self) -> None:
        while self.reader.read():
            pass


@contextmanager
def open_output(*, is_read: bool = True) -> Iterator[Output]:
    """An output, open within the block. With `is_read`, a thread reads it until the end."""
    one = Output()
    reading = threading.Thread(target=one.read_all)
    if is_read:
        reading.start()
    yield one
    one.close()
    if is_read:
        reading.join()
    one.reader.close()
    one.tail.close()
