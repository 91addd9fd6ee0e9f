"""`reduced` leaves out orders, but no end: programs by chance are explored with it and without."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from joblot.testing.interleave import explore
from joblot.testing.interleave.catalogue import touched
from joblot.testing.interleave.footprint import Footprint, Footprints
from joblot.testing.interleave.report import Report
from joblot.testing.interleave.statement import Statement
from tests.testing.counter import Sql

STRAYS_MAX = 3
PROGRAMS = int(os.environ.get("JOBLOT_TEST_PROGRAMS", "1"))
TABLES = ("red", "green", "blue")
Program = list[list[tuple[str, str]]]  # transactions of (act, table)


def footprint(sql: Sql, query: str, *, in_transaction: bool = False) -> Footprint:
    footprints = Footprints(touched(connections[sql.alias]))
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
    """Tables in one order within a transaction, so that nobody deadlocks."""
    transactions: Program = []
    while statements > 0:
        size = min(chance.choice([1, 1, 2, 3]), statements)
        chosen = sorted(chance.choices(TABLES, k=size))
        transactions.append([(chance.choice(["read", "write", "add"]), t) for t in chosen])
        statements -= size
    return transactions


def running(sql: Sql, transactions: Program, factor: int) -> Callable[[], list[int]]:
    """Writes what it has read last, times a factor of its own: who came when is to be seen."""

    def act(name: str, table: str, seen: list[int]) -> None:
        if name == "read":
            seen.append(sql(f"SELECT done FROM {table} WHERE id = 1")[0][0])
        elif name == "add":
            sql(f"UPDATE {table} SET done = done * 10 + %s WHERE id = 1", factor)
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


def ends(sql: Sql, programs: list[Program], **options: Any) -> tuple[set[Any], int]:
    """All ends of the programs, and in how many schedules they were found.

    A schedule that strayed, because the database was slow to say who waits, says nothing of the
    others; then all are explored again.
    """
    for _ in range(STRAYS_MAX):
        found, report = _explored(sql, programs, options)
        if not report.strayed:
            return found, report.schedules
    raise AssertionError(f"{STRAYS_MAX} explorations strayed: {report}")


def _explored(
    sql: Sql, programs: list[Program], options: dict[str, Any]
) -> tuple[set[Any], Report]:
    found = set()

    def check(outcomes: Any) -> None:
        values = tuple(sql(f"SELECT done FROM {table}")[0][0] for table in TABLES)
        found.add((values, *(tuple(outcome.value) for outcome in outcomes.values())))

    report = explore(
        {f"P{n}": running(sql, one, n + 2) for n, one in enumerate(programs)},
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
    footprints = Footprints(touched(connections[tables.alias]))
    change = Statement.of("DELETE FROM red WHERE id = 1")
    footprints.note("A", change, in_transaction=True, one_snapshot=False)
    commit = footprints.note("A", Statement.of("COMMIT"), in_transaction=False, one_snapshot=False)
    assert commit.meets(footprint(tables, "SELECT done FROM red"))
    assert not commit.meets(footprint(tables, "SELECT done FROM blue"))


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
        full, schedules = ends(tables, programs, preemptions=bound)
        reduced, fewer = ends(tables, programs, preemptions=bound, reduced=True)
        assert reduced >= full, f"seed={seed}: {programs}"
        if bound is None:
            assert reduced == full, f"seed={seed}: {programs}"
            assert fewer <= schedules
