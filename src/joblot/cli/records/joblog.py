"""The log of a run's items (`--joblog`), as CSV or JSON lines: a line for each attempt that ended.

It is continued by a resumed run. At the end of a run, what is settled and has no line gets one from
the ledger: the items of a process that was killed before it could write, and lost items.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from joblot.cli import verbs
from joblot.cli.cells import cell
from joblot.cli.printable import json_text, printable
from joblot.cli.records.ended import Ended
from joblot.cli.records.outputs import pages
from joblot.errors import InvalidInput
from joblot.states import Receipt

COLUMNS = (
    *("job", "item", "key", "attempt", "outcome"),
    *("worker", "host", "start", "seconds", "error"),
)
SETTLED = ("succeeded", "failed", "lost")  # outcomes
RETRIED, NOT_COUNTED = "retried", "not counted"
CSV, JSON_LINES = (".csv",), (".jsonl", ".ndjson", ".json")

Line = dict[str, Any]


def check(name: str | None, resume: int | None) -> None:
    """Raises InvalidInput if it can't be written, or is the log of another job than `resume`."""
    if name is None:
        return
    path = Path(name)
    if path.suffix not in CSV + JSON_LINES:
        raise InvalidInput(f"--joblog: expected a name that ends in .csv or .jsonl, got {name}")
    writable = os.access(path, os.W_OK) if path.exists() else os.access(path.parent, os.W_OK)
    if not writable or (path.exists() and not path.is_file()):
        raise InvalidInput(f"--joblog: {name} can't be written; name a file in a writable folder")
    if resume is not None and path.exists():
        job = _job_of(path)
        if job not in (None, resume):
            raise InvalidInput(f"--joblog: {name} is the log of job {job}; name another file")


def _job_of(path: Path) -> int | None:
    """The job of its first whole line."""
    with path.open("rb") as file:
        for raw in file:
            if (line := _parsed(path, raw)) is not None:
                return int(line["job"])
    return None


class Joblog:
    """A `Record`. Of each item it remembers how it ended, in a byte."""

    def __init__(self, job_id: int, name: str, *, resumed: bool) -> None:
        self._job = job_id
        self._path = Path(name)
        self._resumed = resumed
        self._ends = bytearray()  # by item: 0, or the place in SETTLED + 1
        self._pending: list[Ended] = []
        self._file: BinaryIO | None = None

    def begin(self) -> None:
        goes_on = self._resumed and self._path.exists()
        self._file = self._path.open("r+b" if goes_on else "wb")
        if goes_on:
            self._read(self._file)
        if self._path.suffix in CSV and self._file.tell() == 0:
            self._file.write(_csv(COLUMNS))
        self._file.flush()

    def take(self, endings: Sequence[Ended]) -> None:
        self._pending += endings

    def grow(self) -> None:
        pending, self._pending = self._pending, []
        self._write(self._line(one) for one in pending)

    def end(self, *, finished: bool) -> None:
        assert self._file is not None
        with self._file:
            self.grow()
            if self._lacks_any():
                total = verbs.progress(self._job)["total"]
                for numbers in pages(range(total)):
                    endings = verbs.endings_among(self._job, numbers)
                    self._write(self._ledger_line(one) for one in endings if self._lacks(one))
            os.fsync(self._file.fileno())

    def _read(self, file: BinaryIO) -> None:
        """What it holds. A line that was cut off, by a kill or a full disk, is removed."""
        good = 0
        for raw in file:
            if not raw.endswith(b"\n"):
                break
            good += len(raw)
            if (line := _parsed(self._path, raw)) is not None:
                self._note(int(line["item"]), str(line["outcome"]))
        file.truncate(good)
        file.seek(good)

    def _write(self, lines: Iterable[Line]) -> None:
        assert self._file is not None
        try:
            for line in lines:
                self._note(line["item"], line["outcome"])
                self._file.write(_encoded(self._path, line))
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, f"--joblog: {self._path}: {error.strerror}") from error

    def _line(self, ended: Ended) -> Line:
        return {
            "job": self._job,
            "item": ended.item,
            "key": ended.key,
            "attempt": ended.attempt,
            "outcome": self._outcome(ended),
            **_worker(ended.worker),
            "start": ended.start,
            "seconds": ended.seconds,
            "error": ended.error,
        }

    def _outcome(self, ended: Ended) -> str:
        if ended.receipt is Receipt.REQUEUED:
            return RETRIED
        if not ended.settles:
            return NOT_COUNTED
        outcome = SETTLED[0] if ended.succeeded else SETTLED[1]
        # Without a line, the first answer to this report was lost; else it is another's result.
        repeated = ended.receipt is Receipt.DUPLICATE and self._end_of(ended.item) != ""
        return NOT_COUNTED if repeated else outcome

    def _ledger_line(self, ending: dict[str, Any]) -> Line:
        """The lease's beginning is known, not that of the call."""
        error = ending["error"] or {}
        return {
            "job": self._job,
            "item": ending["id"],
            "key": ending["key"],
            "attempt": ending["attempt"],
            "outcome": ending["state"],
            **_worker(ending["worker"]),
            "start": ending["leased_at"],
            "seconds": None,
            "error": ": ".join(filter(None, [error.get("type"), error.get("message")])),
        }

    def _note(self, item: int, outcome: str) -> None:
        if outcome in SETTLED:
            self._ends.extend(bytes(max(0, item + 1 - len(self._ends))))
            self._ends[item] = SETTLED.index(outcome) + 1

    def _end_of(self, item: int) -> str:
        end = self._ends[item] if item < len(self._ends) else 0
        return SETTLED[end - 1] if end else ""

    def _lacks(self, ending: dict[str, Any]) -> bool:
        return self._end_of(ending["id"]) != str(ending["state"])

    def _lacks_any(self) -> bool:
        counts = verbs.progress(self._job)["stages"][-1]
        return any(
            self._ends.count(place) != counts[outcome]
            for place, outcome in enumerate(SETTLED, start=1)
        )


def _worker(name: str) -> Line:
    return {"worker": name, "host": name.partition("/")[0]}


def _encoded(path: Path, line: Line) -> bytes:
    if path.suffix in JSON_LINES:
        return (json_text(line) + "\n").encode()
    return _csv(line[name] for name in COLUMNS)


def _csv(values: Iterable[Any]) -> bytes:
    """A row on one line, whatever a key contains."""
    text = io.StringIO()
    cells = (printable(one) if isinstance(one, str) else one for one in values)
    csv.writer(text, lineterminator="\n").writerow(map(cell, cells))
    return text.getvalue().encode()


def _parsed(path: Path, raw: bytes) -> Line | None:
    """A line of a log; None for a heading, and for what is none."""
    try:
        text = raw.decode()
        if path.suffix in JSON_LINES:
            line = json.loads(text)
        else:
            line = dict(zip(COLUMNS, next(csv.reader([text])), strict=True))
        return line if {int(line["job"]), int(line["item"])} and line["outcome"] else None
    except (ValueError, KeyError, TypeError, StopIteration, csv.Error):
        return None
