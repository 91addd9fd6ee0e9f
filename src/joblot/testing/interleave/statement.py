"""One statement of an operation: its text and its result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

TEXT_CHARACTERS_MAX = 78
VALUE_CHARACTERS_MAX = 24
ROW_CHARACTERS_MAX = 40
ROWS_SHOWN_MAX = 3
STATEMENTS_KEPT_MAX = 4096  # texts whose parsed form is cached

COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
TABLE_PREFIX = re.compile(r'"[^"]+"\.(?=")')
SAVEPOINT_NAME = re.compile(r"\bs\d+_x(\d+)\b")  # Django's, with the thread's number
PLACEHOLDER = re.compile(r"%\((?P<name>\w+)\)s|%s|\?")

# These touch nothing that another connection can see, and neither take nor release a lock. So their
# order relative to other statements makes no difference, and the explorer does not vary it.
LOCAL_COMMANDS = (("SAVEPOINT",), ("RELEASE",), ("BEGIN",), ("BEGIN", "DEFERRED"))


@dataclass(slots=True)
class Statement:
    """A statement at which an operation was stopped.

    `sql` is the text as written, `plain` the same on one line, without comments and quotes.
    `waited_for` names the operations (or `!`, the hold) whose locks it waited for. `stepped`: it
    called a function in which the operation was stopped again, before anything else.
    """

    sql: str
    plain: str
    local: bool = False
    stepped: bool = False
    params: object = None
    in_transaction: bool = False
    row_count: int | None = None
    rows: list[str] = field(default_factory=list)
    rows_read: int = 0
    error: BaseException | None = None
    waited_for: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, query: object, params: object = None, prefix: str = "") -> Statement:
        sql = as_text(query)
        plain, local = read_off(sql)
        return cls(sql, prefix + plain, local, params=copy(params))

    @property
    def text(self) -> str:
        """The text for display: with its values filled in, shortened."""
        return shorten(fill_in(self.plain, self.params), TEXT_CHARACTERS_MAX)

    @property
    def ends_transaction(self) -> bool:
        return self.plain.startswith(("COMMIT", "ROLLBACK"))

    def note_row(self, values: Iterable[str]) -> None:
        self.rows_read += 1
        if len(self.rows) < ROWS_SHOWN_MAX:
            self.rows.append(joined(values))

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


# Threads: a cache that at worst works the same out twice.
@lru_cache(maxsize=STATEMENTS_KEPT_MAX)
def read_off(sql: str) -> tuple[str, bool]:
    """The text on one line, as shown, and whether the statement is local."""
    bare = " ".join(COMMENT.sub(" ", sql).split()).rstrip("; ")
    plain = SAVEPOINT_NAME.sub(r"s\1", TABLE_PREFIX.sub("", bare).replace('"', ""))
    return plain, is_local(bare)


def copy(params: object) -> object:
    """Copy them, since the caller may change them before the table is printed."""
    if isinstance(params, Mapping):
        return dict(params)
    return tuple(params) if isinstance(params, list) else params


def is_local(sql: str) -> bool:
    words = tuple(sql.upper().split())
    whole = words in LOCAL_COMMANDS
    return whole or words[:1] in {("SAVEPOINT",), ("RELEASE",)}


def fill_in(text: str, params: object) -> str:
    """Replace the placeholders by the values, as far as they match."""
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


def joined(values: Iterable[str]) -> str:
    """Join with commas, up to the number of characters shown."""
    taken, length = [], 0
    for value in values:
        taken.append(value)
        length += len(value)
        if length > ROW_CHARACTERS_MAX:
            break
    return shorten(", ".join(taken), ROW_CHARACTERS_MAX)


def shorten(text: str, characters_max: int) -> str:
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return shorten(f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": "), 100)
