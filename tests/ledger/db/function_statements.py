"""The statements inside joblot's functions, as statements with parameters that can be explained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from joblot.ledger.db import functions
from joblot.testing.interleave.steps import MARK, as_sql

ARGUMENTS = re.compile(r"(?:FUNCTION|PROCEDURE) \w+\((.*?)\n\)", re.DOTALL)
DECLARED = re.compile(r"\bDECLARE\n(.*?)\nBEGIN\n", re.DOTALL)
VARIABLE = re.compile(r"^\s*(?:IN |OUT |INOUT )?(\w+) (?:CONSTANT )?([\w\[\]]+)", re.MULTILINE)
EXPLAINED = ("SELECT", "UPDATE", "DELETE", "WITH")


def statements_within(sql: str) -> list[str]:
    """The statements of the functions that this statement calls; `%(name)s` is a variable."""
    return [
        statement
        for name in functions.NAMES
        if f"{functions.called(name)}(" in sql
        for statement in _statements_of(name)
    ]


def _statements_of(name: str) -> Iterator[str]:
    source = functions.source(name)
    types = _types(source)
    for segment in MARK.split(source)[1:]:
        sql = as_sql(segment)
        if sql.startswith(EXPLAINED):
            yield _with_parameters(sql, types, functions.called(name))


def _types(source: str) -> Mapping[str, str]:
    """Each argument and variable with its type."""
    parts = (found[1] for kind in (ARGUMENTS, DECLARED) for found in kind.finditer(source))
    return {name: kind for part in parts for name, kind in VARIABLE.findall(part)}


def _with_parameters(sql: str, types: Mapping[str, str], called: str) -> str:
    """A variable is a word that no table qualifies, and that is no new column's name."""
    words = re.compile(r"(?<![\w.'])(?<!AS )(" + "|".join(types) + r")\b(?!\s*\()")
    plain = sql.replace(f"{called}.", "").replace("%", "%%")
    return words.sub(lambda found: f"(%({found[1]})s::{types[found[1]]})", plain)
