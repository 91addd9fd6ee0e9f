"""A table for races, and operations on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, models, transaction

from joblot.testing.interleave import Report, ScheduleFailed, explore

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "interleave.md"


class Counter(models.Model):
    id = models.IntegerField(primary_key=True)
    done = models.IntegerField()

    class Meta:
        app_label = "interleave"
        managed = False
        db_table = "counter"

    def __str__(self) -> str:
        return f"{self.id}: {self.done}"


class Sql:
    """Runs statements on the test's database, from any thread."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.explore: Callable[..., Report] = partial(explore, using=alias, setup=self.reset)

    def __call__(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def atomic(self, **options):
        return transaction.atomic(using=self.alias, **options)

    def reset(self) -> None:
        with self.atomic():
            self("DELETE FROM counter")
            self("INSERT INTO counter VALUES (1, 0), (2, 0)")

    def value(self, row: int = 1) -> int:
        return int(self("SELECT done FROM counter WHERE id = %s", row)[0][0])

    def add(self, row: int = 1, change: int = 1) -> None:
        self("UPDATE counter SET done = done + %s WHERE id = %s", change, row)

    def read_and_write(self) -> None:
        done = self.value()
        self("UPDATE counter SET done = %s WHERE id = 1", done + 1)


@pytest.fixture
def sql(ledger_db: str) -> Iterator[Sql]:
    sql = Sql(ledger_db)
    sql("CREATE TABLE counter (id integer PRIMARY KEY, done integer NOT NULL)")
    yield sql
    sql("DROP TABLE counter")


@pytest.fixture
def postgres_sql(postgres_only: str, sql: Sql) -> Sql:
    return sql


@pytest.fixture
def sqlite_sql(sqlite_only: str, sql: Sql) -> Sql:
    return sql


def rows(failed: pytest.ExceptionInfo[ScheduleFailed]) -> list[str]:
    """The table without its padding."""
    return [" ".join(line.split()) for line in str(failed.value).splitlines()]


def both(operation: Callable[[], object]) -> dict[str, Callable[[], object]]:
    return {"A": operation, "B": operation}


def orders_tried(sql: Sql, statements: int, **options: object) -> tuple[list[str], Report]:
    """The orders in which two operations ran the given number of reads each."""
    order: list[str] = []
    orders: list[str] = []

    def reads(letter: str) -> Callable[[], None]:
        def operation() -> None:
            for _ in range(statements):
                sql.value()
                order.append(letter)

        return operation

    def setup() -> None:
        sql.reset()
        order.clear()

    report = sql.explore(
        {"A": reads("A"), "B": reads("B")},
        setup=setup,
        check=lambda outcomes: orders.append("".join(order)),
        **options,
    )
    return orders, report
