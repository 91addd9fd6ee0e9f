"""What the database's catalogue says: which other tables a change to a table touches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.testing.interleave.footprint import NOTHING, Tables, plain_text, tables_in

# Relations, and whether each is a plain table.
LISTED = {
    "postgresql": """
        SELECT relname, relkind = 'r' AND NOT relhassubclass AND NOT relispartition
        FROM pg_catalog.pg_class
        WHERE relkind IN ('r', 'v', 'm', 'p', 'f') AND pg_catalog.pg_table_is_visible(oid)
          AND relnamespace <> 'pg_catalog'::regnamespace
    """,
    "sqlite": "SELECT name, type = 'table' FROM sqlite_master WHERE type IN ('table', 'view')",
}
FOREIGN_KEYS = {
    "postgresql": """
        SELECT c.relname, p.relname FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
        JOIN pg_catalog.pg_class p ON p.oid = k.confrelid
        WHERE k.contype = 'f'
    """,
    "sqlite": """
        SELECT m.name, k."table" FROM sqlite_master m, pragma_foreign_key_list(m.name) k
        WHERE m.type = 'table'
    """,
}
TRIGGERS = {
    "postgresql": """
        SELECT c.relname, p.prosrc FROM pg_catalog.pg_trigger t
        JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
        JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
        WHERE NOT t.tgisinternal
    """,
    "sqlite": """
        SELECT tbl_name, substr(sql, instr(upper(sql), 'BEGIN')) FROM sqlite_master
        WHERE type = 'trigger'
    """,
}
# Statement-level triggers run even if the statement finds no row. A BEFORE row trigger may reject
# the change; the row is then locked, but not counted.
TRIGGERS_OF_NONE = """
    SELECT c.relname FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND (t.tgtype & 1 = 0 OR t.tgtype & 2 = 2)
"""


def touched(connection: BaseDatabaseWrapper) -> dict[str, Tables | None]:
    """For each table (and view), the tables that a change to it reads, changes or locks.

    None means unknown, for example for a view or a trigger that calls a function.
    """
    direct: dict[str, Tables | None] = {
        name.lower(): NOTHING if plain else None for name, plain in ask(connection, LISTED)
    }
    known = frozenset(direct)
    for child, parent in ask(connection, FOREIGN_KEYS):
        add(direct, child, frozenset({parent.lower()}) & known)
        add(direct, parent, frozenset({child.lower()}) & known)
    for table, body in ask(connection, TRIGGERS):
        add(direct, table, of_trigger(body, known))
    return {table: closure(table, direct) for table in direct}


def lock_rows(connection: BaseDatabaseWrapper) -> Tables:
    """The tables in which a change that finds no row locks and changes nothing."""
    if connection.vendor == "sqlite":  # it locks the database
        return NOTHING
    with connection.cursor() as cursor:
        cursor.execute(TRIGGERS_OF_NONE)
        triggered = {name.lower() for (name,) in cursor.fetchall()}
    return frozenset(name.lower() for name, plain in ask(connection, LISTED) if plain) - triggered


def ask(connection: BaseDatabaseWrapper, by_vendor: dict[str, str]) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(by_vendor[connection.vendor])
        yield from cursor.fetchall()


def add(direct: dict[str, Tables | None], table: str, more: Tables | None) -> None:
    name = table.lower()
    if name in direct:
        before = direct[name]
        direct[name] = None if before is None or more is None else before | more


def of_trigger(body: str, known: Tables) -> Tables | None:
    plain = plain_text(body)
    return None if "EXECUTE" in plain.upper().split() else tables_in(plain, known)


def closure(table: str, direct: dict[str, Tables | None]) -> Tables | None:
    reached: set[str] = set()
    left = {table}
    while left:
        one = left.pop()
        reached.add(one)
        more = direct[one]
        if more is None:
            return None
        left |= more - reached
    return frozenset(reached)
