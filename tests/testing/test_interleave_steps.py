"""Stops inside PL/pgSQL functions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction

from joblot.testing.interleave import ScheduleFailed
from joblot.testing.interleave.steps import DROP_STEP_FUNCTION, step_function, with_steps
from tests.testing.counter import Sql, both, rows

COUNT_UP = """
CREATE OR REPLACE FUNCTION count_up() RETURNS int LANGUAGE plpgsql AS $$
DECLARE seen int;
BEGIN
    -- step: read
    SELECT c.done INTO seen FROM counter c WHERE c.id = 1;
    -- step: write
    UPDATE counter SET done = seen + 1 WHERE id = 1;
    -- step: end
    RETURN seen + 1;
END $$
"""
LOCKING = COUNT_UP.replace("c.id = 1;", "c.id = 1 FOR UPDATE;")


@pytest.fixture
def stepped(postgres_sql: Sql) -> Iterator[Sql]:
    postgres_sql(step_function())
    yield postgres_sql
    postgres_sql("DROP FUNCTION IF EXISTS count_up()")
    postgres_sql(DROP_STEP_FUNCTION)


def define(sql: Sql, source: str) -> None:
    sql(source)


def count_up(sql: Sql) -> int:
    return int(sql("SELECT count_up()")[0][0])


@pytest.mark.parametrize("reduced", [False, True])
def test_a_lost_update_inside_a_function_is_found(stepped: Sql, reduced: bool) -> None:
    define(stepped, with_steps(COUNT_UP))
    with pytest.raises(ScheduleFailed) as failed:
        stepped.explore(
            both(lambda: count_up(stepped)),
            check=lambda outcomes: stepped.value() == 2,
            reduced=reduced,
        )
    written = "UPDATE counter SET done = seen + 1 WHERE id = 1"
    table = [line.partition(" →")[0] for line in rows(failed)[1:-1]]
    assert table.count(f"A {written}") == table.count(f"B {written}") == 1
    assert "SELECT c.done FROM counter c WHERE c.id = 1" in table[1]


@pytest.mark.parametrize("reduced", [False, True])
def test_a_function_that_locks_first_holds_in_every_order(stepped: Sql, reduced: bool) -> None:
    define(stepped, with_steps(LOCKING))
    report = stepped.explore(
        both(lambda: count_up(stepped)),
        check=lambda outcomes: stepped.value() == 2,
        reduced=reduced,
    )
    assert report.exhaustive
    assert report.waits > 0


def test_without_steps_a_function_is_one_statement(stepped: Sql) -> None:
    define(stepped, COUNT_UP)
    report = stepped.explore(
        both(lambda: count_up(stepped)), check=lambda outcomes: stepped.value() == 2
    )
    assert report.schedules == 2


def test_a_rollback_turns_back_no_step(stepped: Sql) -> None:
    """Otherwise the server would pass a lock that is not held any more."""
    define(stepped, with_steps(COUNT_UP))

    def operation() -> None:
        for _ in range(3):
            with stepped.atomic():
                count_up(stepped)
                transaction.set_rollback(True, using=stepped.alias)
        count_up(stepped)

    seen: list[int] = []
    report = stepped.explore(
        {"A": operation, "B": lambda: seen.append(stepped.value())},
        check=lambda outcomes: stepped.value() == 1,
    )
    assert report.exhaustive
    assert set(seen) == {0, 1}


def test_an_operation_that_dies_at_a_step_is_rolled_back(stepped: Sql) -> None:
    define(stepped, with_steps(COUNT_UP))
    values: list[int] = []
    stepped.explore(
        {"A": lambda: count_up(stepped)},
        check=lambda outcomes: values.append(stepped.value()),
        kills=1,
    )
    assert set(values) == {0, 1}


def test_other_connections_pass_the_steps(stepped: Sql) -> None:
    define(stepped, with_steps(COUNT_UP))
    stepped.reset()
    assert count_up(stepped) == 1


def test_a_source_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="expected comments"):
        with_steps("SELECT 1")
