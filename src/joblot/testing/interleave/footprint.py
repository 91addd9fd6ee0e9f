"""What a statement touches, derived from its text, so that equivalent orders can be skipped.

Anything that is not understood (an unknown function, a view, a command other than a plain read or
write) touches everything and is tried in every order. The tables touched through foreign keys and
triggers come from the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from joblot.testing.interleave.statement import COMMENT, STATEMENTS_KEPT_MAX, Statement
from joblot.testing.interleave.steps import RETURN

Tables = frozenset[str]
NOTHING: Tables = frozenset()


@dataclass(frozen=True, slots=True)
class Footprint:
    """The tables that a statement `reads`, whose rows it `locks`, whose changes it `shows`.

    The end of a transaction shows its changes and releases its locks. Until then others read the
    previous state, so a read and a change that is not shown yet never meet.
    """

    reads: Tables = NOTHING
    locks: Tables = NOTHING
    shows: Tables = NOTHING
    everything: bool = False

    def meets(self, other: Footprint) -> bool:
        """False only if the order of the two can make no observable difference."""
        return (
            self.everything
            or other.everything
            or not self.locks.isdisjoint(other.locks)
            or not self.shows.isdisjoint(other.reads | other.locks | other.shows)
            or not other.shows.isdisjoint(self.reads | self.locks)
        )

    def __or__(self, other: Footprint) -> Footprint:
        if other is NOTHING_TOUCHED:
            return self
        return Footprint(
            self.reads | other.reads,
            self.locks | other.locks,
            self.shows | other.shows,
            self.everything or other.everything,
        )


NOTHING_TOUCHED = Footprint()
EVERYTHING = Footprint(everything=True)

LITERAL = re.compile(r"'(?:[^']|'')*'")
WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
CALL = re.compile(r"([A-Za-z_][A-Za-z_0-9]*)\s*\(")
NEW_NAME = re.compile(r"\bAS\s+(?:MATERIALIZED\s+)?\w+\s*\(", re.IGNORECASE)
DEFINED = re.compile(r"\b(\w+)\s+AS\s+(?:MATERIALIZED\s*)?\(", re.IGNORECASE)
UPDATE = r"(?<!DO )(?<!FOR )(?<!KEY )UPDATE"  # followed by a table's name
SOURCE = re.compile(
    rf"\b(?:(?<!DISTINCT )FROM|JOIN|INTO|USING|{UPDATE})"
    r"\s+(?:ONLY\s+|LATERAL\s+)?([\w.]+)",
    re.IGNORECASE,
)
PART_OF = re.compile(r"\bEXTRACT\s*\(\s*\w+\s+FROM\b", re.IGNORECASE)  # this FROM names no table
LISTED = re.compile(r"\b(?<!DISTINCT )FROM\s+[\w.]+(?:\s+(?:AS\s+)?\w+)?\s*,", re.IGNORECASE)
LOCKING = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:KEY\s+)?(?:UPDATE|SHARE)\b", re.IGNORECASE)
CHANGING = re.compile(rf"\b(?:INSERT|{UPDATE}|DELETE|REPLACE(?!\s*\()|MERGE|COPY)\b", re.IGNORECASE)
CHANGED = re.compile(
    rf"\b(?:(?:INSERT|REPLACE|MERGE)\s+INTO|{UPDATE}|DELETE\s+FROM|COPY)\s+(?:ONLY\s+)?(\w+)",
    re.IGNORECASE,
)

# With one of these, a SELECT may lock or skip rows that it does not return.
LOCKS_UNSEEN = re.compile(r"\b(?:OFFSET|SKIP\s+LOCKED|NOWAIT)\b", re.IGNORECASE)

STARTS = {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "REPLACE", "COPY", "VALUES"}

# What may precede a parenthesis: SQL keywords, types, and functions that touch no table.
WORDS = """
    all and any array as between by case check conflict default detail distinct else elsif end
    errcode except exists filter from having hint if in intersect into is join lateral like
    limit materialized message not nulls offset on or order ordinality over partition references
    returning rows select set stdin stdout then union unique using values when where with
"""
TYPES = """
    bigint char character decimal integer numeric time timestamp timestamptz varchar
"""
FUNCTIONS = """
    abs array_agg array_position avg bool_and bool_or cardinality cast ceil char_length coalesce
    concat count date date_trunc decode dense_rank django_date_extract django_date_trunc
    django_datetime_extract django_datetime_trunc django_format_dtdelta django_timestamp_diff encode
    extract floor generate_series greatest hex ifnull iif int4range json json_agg json_array
    json_array_length json_build_array json_build_object json_each json_extract json_group_array
    json_group_object json_object json_type jsonb_agg jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_object jsonb_each jsonb_each_text jsonb_populate_recordset
    jsonb_to_record jsonb_to_recordset julianday lag lead least left length lower ltrim
    make_interval max md5 min mod now nullif pg_backend_pid raise range_agg rank replace right round
    row row_number rtrim statement_timestamp strftime string_agg strpos substr substring sum to_char
    to_json to_jsonb transaction_timestamp trim unnest upper
"""
HARMLESS = frozenset(f"{WORDS} {TYPES} {FUNCTIONS}".split())


class Reader:
    """Derives from a statement's text what it touches; each text is parsed once.

    `touched`: for every existing table, what a change to it touches through foreign keys and
    triggers; None if unknown. `lock_rows`: the tables in which a change that finds no row locks
    and changes nothing.
    """

    def __init__(self, touched: Mapping[str, Tables | None], lock_rows: Tables = NOTHING) -> None:
        self._touched = touched
        self._lock_rows = lock_rows
        self._known = frozenset(touched)
        self._of_text = lru_cache(maxsize=STATEMENTS_KEPT_MAX)(self._read_off)

    def __call__(self, statement: Statement) -> Footprint:
        if statement.ends_transaction or statement.local or statement.plain == "BEGIN IMMEDIATE":
            return NOTHING_TOUCHED
        if "; COMMIT;" in statement.plain:
            return EVERYTHING
        if statement.stepped or statement.plain == RETURN:
            return NOTHING_TOUCHED
        return self._of_text(statement.sql)

    def _read_off(self, sql: str) -> Footprint:
        plain = plain_text(sql)
        if is_setting(plain):
            return NOTHING_TOUCHED
        tables = tables_in(plain, self._known)
        if tables is None or first_word(plain) not in STARTS:
            return EVERYTHING
        if any(self._touched[table] is None for table in tables):
            return EVERYTHING
        reached = (self._touched[table] or NOTHING for table in locked_in(plain, tables))
        return Footprint(tables, NOTHING.union(*reached))

    def of_run(self, statement: Statement) -> Footprint:
        """The footprint of a statement that has run: it locked no row if it found none.

        If it waited, it locked a row anyway, before it saw that the row no longer matched.
        """
        own = self(statement)
        found_none = statement.row_count == 0 and not statement.waited_for
        if found_none and own.reads <= self._lock_rows and counts_what_it_locks(statement.plain):
            return replace(own, locks=NOTHING)
        return own


class Footprints:
    """The footprints of one run's statements, noted in order."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._open: dict[str, Footprint] = {}  # by operation: its open transaction so far

    def note(
        self, letter: str, statement: Statement, *, in_transaction: bool, one_snapshot: bool
    ) -> Footprint:
        """Return the footprint of what the operation has just run.

        `in_transaction`: a transaction is open afterwards. `one_snapshot`: all its reads use the
        snapshot of the first, so every commit since then makes a difference.
        """
        in_transaction = in_transaction and statement.plain != "COMMIT"  # one inside a procedure
        before = self._open.pop(letter, NOTHING_TOUCHED)
        own = self._read.of_run(statement)
        if before.everything or (in_transaction and one_snapshot):
            own = EVERYTHING
        changed = own.locks or own.everything
        done = replace(own | before, reads=NOTHING) if changed else before
        if not in_transaction:
            return replace(own | done, shows=done.locks)
        self._open[letter] = done
        rolled_back = statement.plain.startswith("ROLLBACK")
        return replace(own, shows=done.locks) if rolled_back else own

    def of_waiting(self, letter: str, statement: Statement) -> Footprint:
        """The footprint of a statement that waits for a lock: it has read, and keeps its locks."""
        return self._open.get(letter, NOTHING_TOUCHED) | self._read(statement)


def plain_text(sql: str) -> str:
    """Remove comments, values and quotes."""
    words = LITERAL.sub("''", COMMENT.sub(" ", sql)).replace('"', "").split()
    return PART_OF.sub("EXTRACT(", " ".join(words))


def tables_in(plain: str, known: Tables) -> Tables | None:
    """All tables that are named; None if the text names something unknown."""
    named = {word.lower() for word in DEFINED.findall(plain)}
    sources = {word.lower() for word in SOURCE.findall(plain)}
    calls = {word.lower() for word in CALL.findall(NEW_NAME.sub(" ", plain))}
    if not sources <= known | named | HARMLESS or not calls <= HARMLESS | known | named:
        return None
    if LISTED.search(plain):
        return None
    return known & {word.lower() for word in WORD.findall(plain)}


def locked_in(plain: str, tables: Tables) -> Tables:
    """Of the named tables, those whose rows are changed or locked."""
    if LOCKING.search(plain):
        return tables
    changed = [table.lower() for table in CHANGED.findall(plain)]
    understood = len(changed) == len(CHANGING.findall(plain))
    return tables & set(changed) if understood else tables


def counts_what_it_locks(plain: str) -> bool:
    """True if its row count includes every row that it changes or locks."""
    if ";" in plain:
        return False
    if first_word(plain) == "SELECT":
        return plain.upper().count("SELECT") == 1 and not LOCKS_UNSEEN.search(plain)
    return first_word(plain) in {"UPDATE", "DELETE"} and not LOCKING.search(plain)


def first_word(plain: str) -> str:
    return plain.split(maxsplit=1)[0].upper() if plain else ""


def is_setting(plain: str) -> bool:
    """True for a connection setting that does not affect how it sees the commits of others."""
    words = plain.upper().split()
    return words[:1] == ["SET"] and not {"TRANSACTION", "CHARACTERISTICS"} & set(words)
