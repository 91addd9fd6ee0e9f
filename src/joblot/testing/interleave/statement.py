"""One statement of an operation: what it says, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TEXT_CHARACTERS_MAX = 78
VALUE_CHARACTERS_MAX = 24
ROW_CHARACTERS_MAX = 40
ROWS_SHOWN_MAX = 3

COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
TABLE_PREFIX = re.compile(r'"[^"]+"\.(?=")')
SAVEPOINT_NAME = re.compile(r"\bs\d+_x(\d+)\b")  # Django's, with the thread's number
PLACEHOLDER = re.compile(r"%\((?P<name>\w+)\)s|%s|\?")

# These touch nothing that another connection can see, take no lock and give none up. So their order
# against the others' statements makes no difference, and the explorer does not try it.
LOCAL_COMMANDS = (("SAVEPOINT",), ("RELEASE",), ("BEGIN",), ("BEGIN", "DEFERRED"))


@dataclass(slots=True)
class Statement:
    """A statement at which an operation was stopped.

    `text` is for readers (values filled in, shortened); `sql` is as the operation wrote it.
    `waited_for` names the operations (or `!`, the hold) whose locks it met.
    """

    text: str
    sql: str = ""
    local: bool = False
    in_transaction: bool = False
    row_count: int | None = None
    rows: list[str] = field(default_factory=list)
    rows_read: int = 0
    error: BaseException | None = None
    waited_for: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, query: object, params: object = None, prefix: str = "") -> Statement:
        sql = as_text(query)
        bare = " ".join(COMMENT.sub(" ", sql).split()).rstrip("; ")
        plain = SAVEPOINT_NAME.sub(r"s\1", TABLE_PREFIX.sub("", bare).replace('"', ""))
        text = prefix + fill_in(plain, params)
        return cls(text=shorten(text, TEXT_CHARACTERS_MAX), sql=sql, local=is_local(bare))

    def note_row(self, values: Iterable[str]) -> None:
        self.rows_read += 1
        if len(self.rows) < ROWS_SHOWN_MAX:
            self.rows.append(shorten(", ".join(values), ROW_CHARACTERS_MAX))

    @property
    def result(self) -> str:
        """What it read or changed, in a few words; empty if there is nothing to say."""
        if self.error is not None:
            return first_line(self.error)
        if self.rows:
            more = " | …" if self.rows_read > len(self.rows) else ""
            return " | ".join(self.rows) + more
        if self.row_count is None or self.row_count < 0:
            return ""
        return "1 row" if self.row_count == 1 else f"{self.row_count} rows"


def as_text(query: object) -> str:
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    compose = getattr(query, "as_string", None)  # psycopg.sql
    return str(compose(None)) if compose else str(query)


def is_local(sql: str) -> bool:
    words = tuple(sql.upper().split())
    whole = words in LOCAL_COMMANDS
    return whole or words[:1] in {("SAVEPOINT",), ("RELEASE",)}


def fill_in(text: str, params: object) -> str:
    """The text with its values in place of the placeholders, as far as both fit together."""
    if isinstance(params, Mapping):
        return PLACEHOLDER.sub(lambda found: show(params.get(found["name"] or "")), text)
    if not isinstance(params, Iterable) or isinstance(params, str):
        return text
    values = iter(params)
    return PLACEHOLDER.sub(lambda found: show(next(values, found[0])), text)


def show(value: object) -> str:
    plain = getattr(value, "obj", value)  # psycopg's Json wrappers
    if isinstance(plain, int) and not isinstance(plain, bool):
        return str(int(plain))  # psycopg's Int4 and the like
    return shorten(repr(plain), VALUE_CHARACTERS_MAX)


def shorten(text: str, characters_max: int) -> str:
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return shorten(f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": "), 100)
