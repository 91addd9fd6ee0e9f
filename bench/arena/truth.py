"""The truth about a run, independent of what is measured: a file to which each handler appends."""

from __future__ import annotations

import os
from pathlib import Path

from bench.strategies.shape import Batch


class Truth:
    """A line before a batch is handled and one after: `+job first size`, `=job first size`.

    A line is one write to a file opened for appending, so handlers need no lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._read_to = 0
        self._begun: set[tuple[bytes, bytes]] = set()
        self._done: set[tuple[bytes, bytes]] = set()
        self.begun = 0
        self.done = 0

    def begin(self, batch: Batch) -> None:
        self._append("+", batch)

    def end(self, batch: Batch) -> None:
        self._append("=", batch)

    def _append(self, kind: str, batch: Batch) -> None:
        os.write(self._file, f"{kind}{batch.job} {batch.first} {batch.size}\n".encode())

    def read(self) -> None:
        """Bring `begun` and `done`, which count items, each once, up to date."""
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            new = file.read()
        self._read_to += len(new)
        for line in new.splitlines():
            job, first, size = line[1:].split()
            seen = self._begun if line[:1] == b"+" else self._done
            if (job, first) in seen:
                continue
            seen.add((job, first))
            if seen is self._begun:
                self.begun += int(size)
            else:
                self.done += int(size)

    def close(self) -> None:
        os.close(self._file)
        self._path.unlink()
