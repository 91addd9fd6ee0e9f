"""The items given on the command line: files and globs, lines, JSON lines. All are streamed."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from joblot.config import limits
from joblot.errors import InvalidInput, InvalidItem

STDIN = "-"
NewItem = dict[str, Any] | str


@dataclass(frozen=True, slots=True)
class Source:
    """The source of items: `files` (paths and globs), a file of `lines`, or one of `jsonl`."""

    files: Sequence[str] = ()
    lines: str | None = None
    jsonl: str | None = None

    @property
    def given(self) -> bool:
        return bool(self.files) or self.lines is not None or self.jsonl is not None

    def check(self, *, needed: bool) -> None:
        """Raise InvalidInput for errors that can be found before anything is read."""
        if needed and not self.given:
            raise InvalidInput("items: expected files, --lines FILE or --jsonl FILE")
        if sum([bool(self.files), self.lines is not None, self.jsonl is not None]) > 1:
            raise InvalidInput("items: expected files, or --lines, or --jsonl, got several")
        for name in self.files:
            _check_path(name)
        for listed in (self.lines, self.jsonl):
            if listed is not None and listed != STDIN:
                _check_readable(listed)

    def items(self) -> Iterator[NewItem]:
        """Items as the ledger accepts them. Raises InvalidItem, naming the line."""
        if self.lines is not None:
            yield from _lines(self.lines)
        elif self.jsonl is not None:
            yield from _json_lines(self.jsonl)
        else:
            for name in self.files:
                yield from _paths(name)

    def arguments(self) -> str:
        """The source as command-line arguments, for a message that says how to continue."""
        if self.lines is not None:
            return f"--lines {self.lines}"
        return f"--jsonl {self.jsonl}" if self.jsonl is not None else "ITEMS…"


def _check_path(name: str) -> None:
    _require_utf8(name)
    if Path(name).exists():
        return
    if not glob.has_magic(name):
        raise InvalidInput(f"items: there is no file {name}")
    if next(_matches(name), None) is None:
        raise InvalidInput(f"items: no file matches {name}")


def _check_readable(name: str) -> None:
    if Path(name).is_dir():
        raise InvalidInput(f"items: {name} is a folder, expected a file of items")
    if not Path(name).exists():
        raise InvalidInput(f"items: there is no file {name}")
    try:
        with Path(name).open("rb"):
            pass
    except OSError as error:
        raise InvalidInput(f"items: {name} can't be read: {error.strerror}") from error


def _paths(name: str) -> Iterator[NewItem]:
    if Path(name).exists():
        yield _path(name)
        return
    for found in _matches(name):
        yield _path(found)


def _matches(pattern: str) -> Iterator[str]:
    found = glob.iglob(pattern, recursive=True)  # noqa: PTH207 (Path.glob refuses an absolute one)
    return (name for name in found if not Path(name).is_dir())


def _path(name: str) -> NewItem:
    _require_utf8(name)
    return keyed(name)


def _require_utf8(name: str) -> None:
    """Raises InvalidItem otherwise: a key is text, and every database must be able to store it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = repr(os.fsencode(name))[2:-1]
        raise InvalidItem(
            f"{shown}: expected a file name in UTF-8; rename the file, or leave it out"
        ) from None


def keyed(text: str) -> NewItem:
    """An item with the text as its key; if too long, with its beginning and its hash as the key.

    The function gets the whole text either way.
    """
    longest = limits().item_key_chars_max
    if len(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return {"key": f"{text[: longest - 33]}…{digest}", "payload": text}


def _lines(name: str) -> Iterator[NewItem]:
    for _, line in _numbered(name):
        yield keyed(line)


def _json_lines(name: str) -> Iterator[NewItem]:
    for number, line in _numbered(name):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidItem(f"{name} line {number}: expected JSON: {error}") from None
        if isinstance(value, dict) and "key" in value and set(value) <= {"key", "payload"}:
            yield value
        else:
            yield {"key": str(number), "payload": value}


def _numbered(name: str) -> Iterator[tuple[int, str]]:
    """The non-empty lines, without line ends, numbered from 1.

    A byte order mark before the first line is dropped.
    """
    with _opened(name) as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InvalidItem(f"{name} line {number}: expected UTF-8: {error}") from None
            if line.strip():
                yield number, line


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == STDIN:
        yield sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as stream:
            yield stream
    except OSError as error:
        raise InvalidInput(f"items: {name} can't be read: {error.strerror}") from error
