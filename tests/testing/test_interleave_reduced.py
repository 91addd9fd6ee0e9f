"""`reduced` skips orders, but no outcome: random programs are explored with and without it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from joblot.testing.interleave import explore
from joblot.testing.interleave.catalogue import lock_rows, touched
from joblot.testing.interleave.footprint import Footprint, Footprints, Reader
from joblot.testing.interleave.report import Report
from joblot.testing.interleave.statement import Statement
from tests.testing.counter import Sql

STRAYS_MAX = 3
EXPLORATIONS_MAX = 8
PROGRAMS = int(os.environ.get("JOBLOT_TEST_PROGRAMS", "1"))
TABLES = ("red", "green", "blue")
ACTS = ("read", "write", "add", "add if odd", "add if another is odd")
Program = list[list[tuple[str, str]]]  # transactions of (act, table)
Body = Callable[[], list[int]]


def footprint(sql: Sql, query: str, *, in_transaction: bool = False) -> Footprint:
    footprints = Footprints(Reader(touched(connections[sql.alias])))
    return footprints.note(
        "A", Statement.of(query), in_transaction=in_transaction, one_snapshot=False
    )


@pytest.fixture
def tables(sql: Sql) -> Iterator[Sql]:
    for table in TABLES:
        sql(f"CREATE TABLE {table} (id integer PRIMARY KEY, done bigint NOT NULL)")
    yield sql
    for table in TABLES:
        sql(f"DROP TABLE {table}")


def reset(sql: Sql) -> None:
    with sql.atomic():
        for table in TABLES:
            sql(f"DELETE FROM {table}")
            sql(f"INSERT INTO {table} VALUES (1, 1)")


def program(chance: random.Random, statements: int) -> Program:
    """Tables in a fixed order within a transaction, so that nothing deadlocks."""
    transactions: Program = []
    while statements > 0:
        size = min(chance.choice([1, 1, 2, 3]), statements)
        chosen = sorted(chance.choices(TABLES, k=size))
        transactions.append([(chance.choice(ACTS), t) for t in chosen])
        statements -= size
    return transactions


def running(sql: Sql, transactions: Program, factor: int) -> Body:
    """Write the last value read, times 10, plus its own factor: the result shows the order."""

    def act(name: str, table: str, seen: list[int]) -> None:
        another = TABLES[TABLES.index(table) - 1]
        only = {
            "add if odd": "AND done % 2 = 1",
            "add if another is odd": f"AND EXISTS (SELECT 1 FROM {another} WHERE done % 2 = 1)",
        }
        if name == "read":
            seen.append(sql(f"SELECT done FROM {table} WHERE id = 1")[0][0])
        elif name.startswith("add"):
            condition = only.get(name, "").replace("%", "%%")
            sql(f"UPDATE {table} SET done = done * 10 + %s WHERE id = 1 {condition}", factor)
        else:
            sql(f"UPDATE {table} SET done = %s WHERE id = 1", 10 * seen[-1] + factor)

    def run() -> list[int]:
        seen = [0]
        for transaction in transactions:
            if len(transaction) == 1:
                act(*transaction[0], seen)
                continue
            with sql.atomic():
                for name, table in transaction:
                    act(name, table, seen)
        return seen

    return run


def bodies(sql: Sql, programs: list[Program]) -> list[Body]:
    return [running(sql, one, factor) for factor, one in enumerate(programs, start=2)]


def ends(sql: Sql, operations: list[Body], **options: Any) -> tuple[set[Any], int]:
    """All outcomes of the operations, and in how many schedules they were found.

    A schedule that strayed, because the database was slow to report a wait, is inconclusive; then
    all are explored again.
    """
    for _ in range(STRAYS_MAX):
        found, report = _explored(sql, operations, options)
        if not report.strayed:
            return found, report.schedules
    raise AssertionError(f"{STRAYS_MAX} explorations strayed: {report}")


def lost_ends(sql: Sql, operations: list[Body], missing: set[Any], **options: Any) -> set[Any]:
    """Of the outcomes that the reduced search misses, those that the full one always finds.

    If two wait for one row, PostgreSQL may let either have it first; no schedule decides it. So an
    outcome may occur in one exploration and not in another.
    """
    for _ in range(EXPLORATIONS_MAX):
        if missing:
            missing = missing - ends(sql, operations, reduced=True, **options)[0]
            missing = missing & ends(sql, operations, **options)[0]
    return missing


def _explored(sql: Sql, operations: list[Body], options: dict[str, Any]) -> tuple[set[Any], Report]:
    found = set()

    def check(outcomes: Any) -> None:
        values = tuple(sql(f"SELECT done FROM {table}")[0][0] for table in TABLES)
        found.add((values, *(tuple(outcome.value) for outcome in outcomes.values())))

    report = explore(
        {f"P{n}": one for n, one in enumerate(operations)},
        setup=lambda: reset(sql),
        check=check,
        using=sql.alias,
        samples=0,
        **options,
    )
    return found, report


def test_two_reads_do_not_meet_nor_does_a_read_and_an_unfinished_change(tables: Sql) -> None:
    read = footprint(tables, "SELECT done FROM red WHERE id = 1")
    change = footprint(tables, "UPDATE red SET done = 2", in_transaction=True)
    committed = footprint(tables, "UPDATE red SET done = 2")
    assert not read.meets(read)
    assert not read.meets(change)
    assert read.meets(committed)
    assert change.meets(change)
    assert not committed.meets(footprint(tables, "UPDATE blue SET done = 2"))


def test_a_commit_shows_what_its_transaction_changed(tables: Sql) -> None:
    footprints = Footprints(Reader(touched(connections[tables.alias])))
    change = Statement.of("DELETE FROM red WHERE id = 1")
    footprints.note("A", change, in_transaction=True, one_snapshot=False)
    commit = footprints.note("A", Statement.of("COMMIT"), in_transaction=False, one_snapshot=False)
    assert commit.meets(footprint(tables, "SELECT done FROM red"))
    assert not commit.meets(footprint(tables, "SELECT done FROM blue"))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT EXTRACT(EPOCH FROM done) FROM red",
        "SELECT bool_or(done > 0), json_agg(done) FROM red",
        "COPY red (id, done) FROM STDIN",
        "INSERT INTO red SELECT 2, replace('1', '1', '2')",
    ],
)
def test_what_is_understood_touches_what_it_names(tables: Sql, query: str) -> None:
    assert footprint(tables, query).reads == {"red"}


@pytest.mark.parametrize(
    ("query", "locks"),
    [
        ("UPDATE red SET done = 2 WHERE EXISTS (SELECT 1 FROM blue)", {"red"}),
        ("DELETE FROM red WHERE id IN (SELECT id FROM blue)", {"red"}),
        ("INSERT INTO red (id, done) SELECT id, done FROM blue", {"red"}),
        (
            "INSERT INTO red SELECT id, done FROM blue ON CONFLICT (id) DO UPDATE SET done = 2",
            {"red"},
        ),
        ("SELECT red.done FROM red JOIN blue ON red.id = blue.id FOR UPDATE", {"red", "blue"}),
        ("INSERT OR REPLACE INTO red SELECT id, done FROM blue", {"red", "blue"}),
    ],
)
def test_a_change_locks_what_it_changes(tables: Sql, query: str, locks: set[str]) -> None:
    """If the statement is not understood, it locks all tables that it names."""
    assert footprint(tables, query).locks == locks


@pytest.mark.parametrize(
    ("query", "locks"),
    [
        ("UPDATE red SET done = 2 WHERE id = 9", set()),
        ("SELECT done FROM red WHERE id = 9 FOR UPDATE", set()),
        ("SELECT done FROM red OFFSET 1 FOR UPDATE", {"red"}),
        ("DELETE FROM red WHERE id = 9; DELETE FROM red", {"red"}),
        ("SELECT done FROM red FOR UPDATE SKIP LOCKED", {"red"}),
        ("SELECT 1 FROM (SELECT id FROM red FOR UPDATE) r WHERE r.id = 9", {"red"}),
        ("INSERT INTO red VALUES (1, 1) ON CONFLICT (id) DO NOTHING", {"red"}),
        ("WITH x AS (UPDATE red SET done = 2 RETURNING 1) SELECT 1 WHERE false", {"red"}),
    ],
)
def test_a_statement_that_finds_no_row_locks_none(
    postgres_sql: Sql, tables: Sql, query: str, locks: set[str]
) -> None:
    """If the row count shows it, and the statement did not have to wait."""
    connection = connections[tables.alias]
    read = Reader(touched(connection), lock_rows(connection))
    statement = Statement.of(query)
    statement.row_count = 0
    assert read.of_run(statement).locks == locks
    statement.waited_for = {"B"}
    assert read.of_run(statement).locks == {"red"}


@pytest.mark.parametrize("trigger", ["AFTER UPDATE ON red", "BEFORE UPDATE ON red FOR EACH ROW"])
def test_triggers_run_for_statements_that_count_no_row(
    postgres_sql: Sql, tables: Sql, trigger: str
) -> None:
    tables("CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    tables(f"CREATE TRIGGER echo {trigger} EXECUTE FUNCTION echo()")
    assert lock_rows(connections[tables.alias]) >= {"green", "blue"}
    assert "red" not in lock_rows(connections[tables.alias])
    tables("DROP FUNCTION echo() CASCADE")


def test_on_sqlite_a_write_that_changes_nothing_locks_the_database(sqlite_sql: Sql) -> None:
    assert lock_rows(connections[sqlite_sql.alias]) == frozenset()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT unheard_of(done) FROM red",
        "SELECT * FROM elsewhere.red",
        "SELECT * FROM red, blue",
        "LOCK TABLE red",
        "WITH x AS (SELECT unheard_of(1)) SELECT * FROM x",
        "SELECT nextval('numbers')",
    ],
)
def test_what_is_not_understood_touches_everything(tables: Sql, query: str) -> None:
    assert footprint(tables, query).everything


def test_a_view_touches_everything(tables: Sql) -> None:
    tables("CREATE VIEW colours AS SELECT done FROM red")
    try:
        assert footprint(tables, "SELECT done FROM colours").everything
    finally:
        tables("DROP VIEW colours")


def test_a_change_touches_what_its_keys_point_to(tables: Sql) -> None:
    tables("CREATE TABLE shade (id integer PRIMARY KEY, red_id integer REFERENCES red (id))")
    try:
        shade = footprint(tables, "INSERT INTO shade (id, red_id) VALUES (1, 1)")
        assert shade.locks == {"shade", "red"}
    finally:
        tables("DROP TABLE shade")


def test_a_change_touches_what_its_triggers_name(sqlite_sql: Sql, tables: Sql) -> None:
    tables("CREATE TRIGGER echo AFTER UPDATE ON red BEGIN UPDATE blue SET done = 1; END")
    assert footprint(tables, "UPDATE red SET done = 2").locks == {"red", "blue"}


def test_kills_are_not_reduced(tables: Sql) -> None:
    with pytest.raises(ValueError, match="neither kills nor a hold"):
        tables.explore({"A": tables.value}, check=lambda outcomes: True, kills=1, reduced=True)


@pytest.mark.parametrize(("operations", "bound"), [(2, 1), (2, 2), (2, None), (3, 1)])
def test_the_ends_are_the_same(tables: Sql, operations: int, bound: int | None) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(PROGRAMS):
        programs = [program(chance, 4 if operations == 2 else 2) for _ in range(operations)]
        acts = bodies(tables, programs)
        full, schedules = ends(tables, acts, preemptions=bound)
        reduced, fewer = ends(tables, acts, preemptions=bound, reduced=True)
        lost = lost_ends(tables, acts, full - reduced, preemptions=bound)
        assert not lost, f"seed={seed}: {programs}"
        if bound is None:
            assert reduced == full, f"seed={seed}: {programs}"
            assert fewer <= schedules


@pytest.mark.parametrize("bound", [1, 2])
def test_the_ends_are_the_same_for_those_who_are_alike(tables: Sql, bound: int) -> None:
    """Except for which operation did what."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(PROGRAMS):
        one = program(chance, 4)
        operations = [running(tables, one, 2)] * 2
        full, schedules = ends(tables, operations, preemptions=bound)
        fewer_ends, fewer = ends(tables, operations, preemptions=bound, reduced=True, alike=True)
        exchanged = {(values, second, first) for values, first, second in fewer_ends}
        assert fewer_ends | exchanged >= full, f"seed={seed}: {one}"
        assert fewer < schedules
