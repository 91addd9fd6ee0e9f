"""Whether the function of a worker process is in a call, and whether it makes progress.

Observed from outside: C code that holds the GIL stops every thread of its process, including any
that would report it.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from joblot.errors import Unavailable
from joblot.worker.watch import Watch

GRACE_SECONDS = 1.0  # for a frozen process to exit by itself, as one that can run Python does
COUNT = struct.Struct("=Q")
GAP_SECONDS_MAX = 5.0  # between two reads; in a longer gap the watcher itself was stopped


class Pulse:
    """A count in memory that a worker process shares with its supervisor.

    It is incremented when a call begins, and when one ends or makes progress, so it is odd during a
    call. Only one process writes it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, COUNT.size)
        self._count = 0

    @classmethod
    def made(cls) -> Pulse:
        """A new one, in an unnamed file that is gone when its last process ends. Raises OSError."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("joblot-pulse")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.write(descriptor, COUNT.pack(0))
        return cls(descriptor)

    def beat(self) -> None:
        self._count += 1
        COUNT.pack_into(self._memory, 0, self._count)

    def count(self) -> int:
        return int(COUNT.unpack_from(self._memory)[0])

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)


@dataclass(slots=True)
class PulseReader:
    """How long a pulse has not changed in a call, by the watcher's own clock.

    While the watcher was stopped (a laptop asleep, a container paused), the watched process may
    have been, too: a long gap counts as GAP_SECONDS_MAX.
    """

    pulse: Pulse
    _seen: int = 0
    _seconds: float = 0.0
    _read_at: float = field(default_factory=time.monotonic)

    def still_seconds(self) -> float:
        """Read the pulse once; returns 0 between calls."""
        now, count = time.monotonic(), self.pulse.count()
        gap, self._read_at = now - self._read_at, now
        if count != self._seen or count % 2 == 0:
            self._seen, self._seconds = count, 0.0
        else:
            self._seconds += min(gap, GAP_SECONDS_MAX)
        return self._seconds


class PulseWatch(Watch):
    """A worker process hangs when a call of its function makes no progress for `seconds_max`."""

    def __init__(self, seconds_max: float) -> None:
        """Raises Unavailable."""
        try:
            self._pulse = Pulse.made()
        except OSError as error:
            raise Unavailable(f"a worker process can't be watched: {error}") from error
        self._reader = PulseReader(self._pulse)
        self._seconds_max = seconds_max + GRACE_SECONDS

    def shared(self) -> Mapping[str, int]:
        return {"pulse": self._pulse.descriptor}

    def hangs(self) -> bool:
        return self._reader.still_seconds() > self._seconds_max

    def close(self) -> None:
        self._pulse.close()
