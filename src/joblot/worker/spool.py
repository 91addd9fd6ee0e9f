"""Results on disk, from before they count as done until their receipts.

A folder holds the spools, one for each worker process. A spool is a folder with a lock, which the
kernel releases however the process ends, and files of records. A record is a line: the CRC-32 of
its JSON, and the JSON. A file is deleted once each of its results has its receipt. A result that
was posted but not deleted is posted again, which is always safe.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from joblot import private
from joblot.errors import InvalidResult, Unavailable
from joblot.given_results import parse_result
from joblot.wire import Result
from joblot.worker.shapes import result_json

logger = logging.getLogger("joblot.worker")

SPOOL_BYTES_MAX = 1_073_741_824  # of one worker; when it is full, the function waits
FILE_BYTES_MAX = 4_194_304  # a longer file is closed, and deleted after its last receipt
_LOCK = "lock"
_SUFFIX = ".results"
_ASIDE = "given-up.aside"


@dataclass(frozen=True, slots=True)
class Spooled:
    """A result that was left behind, and the lease to report it through."""

    token: str
    result: Result
    size: int
    place: Place


@dataclass(slots=True, eq=False)
class Place:
    """A file of results; `waiting` of them have no receipt yet."""

    path: Path
    size: int = 0  # bytes
    waiting: int = 0


@dataclass(slots=True)
class Spool:
    """One worker's own part of `folder`. Any thread may use it.

    Invariant: a file exists as long as any of its results waits for a receipt.
    """

    home: Path
    bytes_max: int
    _descriptor: int
    _places: list[Place] = field(default_factory=list)
    _open: Place | None = None  # the one that is written to
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def begin(cls, folder: Path, bytes_max: int = SPOOL_BYTES_MAX) -> Spool:
        """A new spool in the folder, which is created if missing. Raises Unavailable."""
        try:
            private.make_folder(folder)
            while True:
                home = folder / uuid4().hex
                home.mkdir(private.FOLDER)
                if (descriptor := _locked(home, make=True)) is not None:
                    return cls(home, bytes_max, descriptor)
        except OSError as error:
            raise Unavailable(
                f"results can't be kept in {folder}: {error.strerror or error}; name a "
                "writable folder with --spool"
            ) from error

    @classmethod
    def taken_over(cls, folder: Path) -> Iterator[Spool]:
        """The spools whose workers are dead, one at a time; each goes to one caller only."""
        for home in sorted(folder.glob("*/")):
            with contextlib.suppress(OSError):
                if (descriptor := _locked(home)) is not None:
                    yield cls(home, SPOOL_BYTES_MAX, descriptor)

    @property
    def bytes_used(self) -> int:
        with self._lock:
            return sum(place.size for place in self._places)

    def has_room(self, more: int) -> bool:
        """True if `more` bytes fit. An empty spool has room for a result of any size."""
        before = self.bytes_used
        return before == 0 or before + more <= self.bytes_max

    def keep(self, records: Sequence[bytes]) -> Place:
        """Write these to disk, durably. Raises OSError, and then keeps none of them."""
        data = b"".join(records)
        with self._lock:
            place = self._open_place()
            _append(place, data)
            place.size += len(data)
            place.waiting += len(records)
            return place

    def receipted(self, place: Place) -> None:
        """One more result of this file has its receipt."""
        with self._lock:
            place.waiting -= 1
            if place.waiting:
                return
            with contextlib.suppress(OSError):
                if self._open is place:  # more will come
                    os.truncate(place.path, 0)
                    place.size = 0
                else:
                    place.path.unlink(missing_ok=True)
                    self._places.remove(place)

    def set_aside(self, record: bytes) -> None:
        """Keep a result that joblot does not accept, for manual inspection. Raises OSError."""
        with self._lock, (self.home / _ASIDE).open("ab") as file:
            file.write(record)

    def left(self) -> Iterator[Spooled]:
        """All results in its files, oldest first; damaged ones are logged."""
        for path in sorted(self.home.glob(f"*{_SUFFIX}")):
            place = Place(path, path.stat().st_size)
            found = [Spooled(token, result, size, place) for token, result, size in _read(path)]
            place.waiting = len(found)
            if found:
                self._places.append(place)
                yield from found
            else:
                path.unlink(missing_ok=True)

    def end(self) -> None:
        """Release it. Only waiting and damaged results stay on disk."""
        with self._lock, contextlib.suppress(OSError):
            if self._open is not None and not self._open.waiting:
                self._open.path.unlink(missing_ok=True)
            if not any(self.home.glob(f"*{_SUFFIX}")):
                (self.home / _LOCK).unlink(missing_ok=True)
                self.home.rmdir()
        os.close(self._descriptor)

    def _open_place(self) -> Place:
        if self._open is None or self._open.size >= FILE_BYTES_MAX:
            self._count += 1
            self._open = Place(self.home / f"{self._count:06}{_SUFFIX}")
            self._places.append(self._open)
        return self._open


def _locked(home: Path, *, make: bool = False) -> int | None:
    """A descriptor that holds a spool's lock; None if another holds it, or it is gone."""
    lock = home / _LOCK
    descriptor = os.open(lock, os.O_RDWR | (os.O_CREAT if make else 0), private.FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have taken it over just before, found it empty and removed it.
        if lock.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def record_of(token: str, result: Result) -> bytes:
    """A result and its lease, as they are stored."""
    shape = {"lease": token, "result": result_json(result)}
    record = json.dumps(shape, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(record), record)


def _append(place: Place, data: bytes) -> None:
    """Append all of the data durably, or nothing."""
    is_new = not place.path.exists()
    descriptor = os.open(place.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, private.FILE)
    try:
        _write(descriptor, data)
        os.fsync(descriptor)
        if is_new:
            _sync_folder(place.path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, place.size)
        raise
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Iterator[tuple[str, Result, int]]:
    """The intact records of a file: lease, result, bytes.

    A line that is cut off had not counted as done. A damaged line is set aside for manual
    inspection, because its item may have been computed for nothing.
    """
    lines = path.read_bytes().split(b"\n")
    cut_off = lines.pop()
    damaged = []
    for line in lines:
        if (record := _record(line)) is None:
            damaged.append(line)
        else:
            yield *record, len(line) + 1
    if cut_off:
        logger.warning(
            "%s: its last %d bytes were cut off in the middle of a result, which will be computed "
            "again",
            path,
            len(cut_off),
        )
    if damaged:
        aside = path.with_suffix(".damaged")
        private.write_file(aside, b"\n".join(damaged) + b"\n")
        logger.error(
            "%s: %d results can't be read and will be computed again; they are kept in %s",
            path,
            len(damaged),
            aside,
        )


def _record(line: bytes) -> tuple[str, Result] | None:
    checksum, _, record = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(record):
            return None
        shape = json.loads(record)
        return str(shape["lease"]), parse_result(shape["result"])
    except (ValueError, KeyError, TypeError, RecursionError, InvalidResult):
        return None
