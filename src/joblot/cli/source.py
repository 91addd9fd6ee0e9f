"""The items given on the command line: files and globs, lines, JSON lines. All are streamed."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from joblot.cli.patterns import is_pattern, matches
from joblot.config import limits
from joblot.errors import InvalidInput

STDIN = "-"
WORDS = ":::"  # among the arguments: what follows are the items
READ_BYTES = 65_536
NewItem = dict[str, Any] | str


@dataclass(frozen=True, slots=True)
class BadEntry:
    """What can't be an item, and why. `key` names it, as text that every database can store."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Source:
    """The source of items: `files` (paths and globs), a file of `lines`, one of `jsonl`, or plain
    `words`.

    With `null`, the lines end with a zero byte, as `find -print0` writes them. With `skip_bad`,
    what can't be an item is left out.
    """

    files: Sequence[str] = ()
    lines: str | None = None
    jsonl: str | None = None
    null: bool = False
    skip_bad: bool = False
    words: Sequence[str] | None = None

    @classmethod
    def of(
        cls,
        arguments: Sequence[str],
        lines: str | None,
        jsonl: str | None,
        *,
        null: bool,
        skip_bad: bool,
    ) -> Self:
        """From the arguments of a command, which are files, or words after `:::`."""
        if WORDS not in arguments:
            return cls(arguments, lines, jsonl, null, skip_bad)
        at = arguments.index(WORDS)
        return cls(arguments[:at], lines, jsonl, null, skip_bad, arguments[at + 1 :])

    @property
    def given(self) -> bool:
        return bool(self.files) or (self.lines, self.jsonl, self.words) != (None, None, None)

    def check(self, *, needed: bool) -> None:
        """Raise InvalidInput for errors that can be found before anything is read."""
        if needed and not self.given:
            raise InvalidInput(
                "items: expected files, --lines FILE or --jsonl FILE, or ::: and words"
            )
        sources = (self.files or None, self.lines, self.jsonl, self.words)
        if sum(one is not None for one in sources) > 1:
            raise InvalidInput("items: expected files, or --lines, --jsonl or :::, got several")
        if self.words is not None and (not self.words or WORDS in self.words):
            raise InvalidInput("items: expected words after one :::")
        if self.null and self.lines is None:
            raise InvalidInput("--null: expected --lines FILE, whose names it separates")
        for listed in (self.lines, self.jsonl):
            if listed is not None and listed != STDIN:
                _check_readable(listed)
        if self.files:
            _require_a_good_one(self.files)

    def entries(self) -> Iterator[NewItem | BadEntry]:
        """Items as the ledger accepts them, and what can't be one, in the order given."""
        if self.lines is not None:
            yield from _lines(self.lines, b"\0" if self.null else b"\n")
        elif self.jsonl is not None:
            yield from _json_lines(self.jsonl)
        elif self.words is not None:
            yield from map(_word, self.words)
        else:
            for name in self.files:
                yield from _named(name)

    def arguments(self) -> str:
        """The source as command-line arguments, for a message that says how to continue."""
        if self.lines is not None:
            return f"--lines {self.lines}{' --null' * self.null}"
        if self.words is not None:
            return f"{WORDS} WORDS…"
        return f"--jsonl {self.jsonl}" if self.jsonl is not None else "ITEMS…"


def _require_a_good_one(files: Sequence[str]) -> None:
    """Nothing but bad entries is a mistake, and better refused than made into a job."""
    first: BadEntry | None = None
    for entry in (entry for name in files for entry in _named(name)):
        if not isinstance(entry, BadEntry):
            return
        first = first or entry
    if first is None:
        raise InvalidInput(f"items: {files[0]} is a folder, expected files")
    raise InvalidInput(f"items: {first.reason}")


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


def _named(name: str) -> Iterator[NewItem | BadEntry]:
    """The files that one argument names. Folders are left out, as they are no items."""
    if os.path.lexists(name) or not is_pattern(name):
        yield from _path(name)
        return
    nothing = True
    for found in matches(name):
        nothing = False
        yield from _path(found)
    if nothing:
        yield BadEntry(_storable(name), f"no file matches {_storable(name)}")


def _path(name: str) -> Iterator[NewItem | BadEntry]:
    shown = _storable(name)
    if Path(name).is_dir():
        return
    if shown != name:
        reason = f"{shown}: expected a file name in UTF-8; rename the file, or leave it out"
        yield BadEntry(shown, reason)
    elif Path(name).exists():
        yield keyed(name)
    elif Path(name).is_symlink():
        yield BadEntry(name, f"{name} is a link to a file that does not exist")
    else:
        yield BadEntry(name, f"there is no file {name}")


def _storable(name: str) -> str:
    """The name, with bytes that are not UTF-8 as their escapes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return repr(os.fsencode(name))[2:-1]
    return name


def keyed(text: str) -> NewItem:
    """An item with the text as its key; if too long, with its beginning and its hash as the key.

    The function gets the whole text either way.
    """
    longest = limits().item_key_chars_max
    if len(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return {"key": f"{text[: longest - 33]}…{digest}", "payload": text}


def _word(word: str) -> NewItem | BadEntry:
    shown = _storable(word)
    return keyed(word) if shown == word else BadEntry(shown, f"{shown}: expected UTF-8")


def _lines(name: str, end: bytes) -> Iterator[NewItem | BadEntry]:
    for _, line in _numbered(name, end):
        yield line if isinstance(line, BadEntry) else keyed(line)


def _json_lines(name: str) -> Iterator[NewItem | BadEntry]:
    for number, line in _numbered(name):
        if isinstance(line, BadEntry):
            yield line
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield _bad_line(name, number, f"expected JSON: {error}")
            continue
        if isinstance(value, dict) and "key" in value and set(value) <= {"key", "payload"}:
            yield value
        else:
            yield {"key": str(number), "payload": value}


def _bad_line(name: str, number: int, reason: str) -> BadEntry:
    return BadEntry(f"line {number}", f"{name} line {number}: {reason}")


def _numbered(name: str, end: bytes = b"\n") -> Iterator[tuple[int, str | BadEntry]]:
    """The non-empty lines, without line ends, numbered from 1.

    A byte order mark before the first line is dropped. Names that end with a zero byte are taken as
    they are, since any other character may be a part of them.
    """
    exact = end == b"\0"
    with _opened(name) as stream:
        for number, raw in enumerate(_split(stream, end) if exact else stream, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 and not exact else "utf-8")
            except UnicodeDecodeError as error:
                yield number, _bad_line(name, number, f"expected UTF-8: {error}")
                continue
            line = line if exact else line.rstrip("\r\n")
            if line if exact else line.strip():
                yield number, line


def _split(stream: IO[bytes], end: bytes) -> Iterator[bytes]:
    rest = b""
    while piece := stream.read1(READ_BYTES):  # type: ignore[attr-defined]
        *whole, rest = (rest + piece).split(end)
        yield from whole
    if rest:
        yield rest


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
