"""The statements inside joblot's functions, as statements with parameters that can be explained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.ledger.db import functions
from joblot.testing.interleave.steps import MARK, as_sql

ARGUMENTS = re.compile(r"(?:FUNCTION|PROCEDURE) \w+\((.*?)\n\)", re.DOTALL)
DECLARED = re.compile(r"\bDECLARE\n(.*?)\nBEGIN\n", re.DOTALL)
VARIABLE = re.compile(r"^\s*(?:IN |OUT |INOUT )?(\w+) (?:CONSTANT )?([\w\[\]]+)", re.MULTILINE)
# What names tables or columns: of an INSERT, of its conflict, of an alias, or those that are set.
NAMED = (
    r"(?:INSERT INTO \w+|ON CONFLICT|AS (?!MATERIALIZED)\w+) \([^)]*\)|RETURNING [^)]*"
    r"|(?:SET|,)\s+\w+ = |(?:WITH|FROM|JOIN) \w+"
)
RECORDS = {  # the types of a function's records, which have none in its source
    "report/settle_1": {
        "held": (
            "job_id bigint, run int, stage smallint, state smallint, owner bigint, worker varchar,"
            " ranges jsonb, gone jsonb"
        )
    }
}
EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def statements_within(sql: str) -> list[str]:
    """The statements of the functions that this statement calls, and of those that they call.

    `%(name)s` is a variable.
    """
    return [statement for name in _called_by(sql) for statement in _statements_of(name)]


def _called_by(sql: str, by: frozenset[str] = frozenset()) -> Iterator[str]:
    for name in functions.NAMES:
        if name not in by and f"{functions.called(name)}(" in sql:
            yield name
            _, _, body = functions.source(name).partition("\nBEGIN\n")
            yield from _called_by(body, by | {name})  # a claim may call itself


@contextmanager
def types_of_records(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Inside the block, statements with records can be explained on this connection."""
    records = {one: columns for known in RECORDS.values() for one, columns in known.items()}
    with connection.cursor() as cursor:
        for one, columns in records.items():
            cursor.execute(f"CREATE TYPE pg_temp.record_{one} AS ({columns})")
        try:
            yield
        finally:
            for one in records:
                cursor.execute(f"DROP TYPE pg_temp.record_{one}")


def _statements_of(name: str) -> Iterator[str]:
    source = functions.source(name)
    types = _types(source) | {one: f"pg_temp.record_{one}" for one in RECORDS.get(name, ())}
    for segment in MARK.split(source)[1:]:
        sql = as_sql(segment)
        if sql.startswith(EXPLAINED):
            yield _with_parameters(sql, types, functions.called(name))


def _types(source: str) -> dict[str, str]:
    """Each argument and variable with its type."""
    parts = (found[1] for kind in (ARGUMENTS, DECLARED) for found in kind.finditer(source))
    return {name: kind for part in parts for name, kind in VARIABLE.findall(part)}


def _with_parameters(sql: str, types: Mapping[str, str], called: str) -> str:
    """A variable is a word that no table qualifies, and that is no name of a table or column."""
    words = re.compile(rf"{NAMED}|(?<![\w.'])(?<!AS )({'|'.join(types)})\b(?!\s*\()")

    def parameter(found: re.Match[str]) -> str:
        return f"(%({found[1]})s::{types[found[1]]})" if found[1] else found[0]

    return words.sub(parameter, sql.replace(f"{called}.", "").replace("%", "%%"))
