"""The explorer when operations die, wait inside a statement, or fail."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import psycopg
import pytest
from django.db import DatabaseError, connections

from joblot.testing.interleave import Hold, NeverEnds, ScheduleFailed, Stuck
from joblot.testing.interleave import run as run_module
from tests.polling import eventually
from tests.testing.counter import both, orders_tried, rows

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "interleave.md"


# Dying, and waiting inside a statement.


def test_an_operation_dies_after_any_statement_and_is_rolled_back(sql):
    def operation():
        with sql.atomic():
            sql.add(1)
            sql.add(2)

    report = sql.explore(
        both(operation),
        check=lambda outcomes: (
            sql.value(1) == sql.value(2) == sum(not outcome.killed for outcome in outcomes.values())
        ),
        kills=1,
    )
    assert report.exhaustive
    assert report.outcomes["A: killed, B: returned None"] > 0
    assert report.outcomes["A: returned None, B: killed"] > 0


def test_two_commits_are_torn_apart_by_a_death(sql):
    def operation():
        sql.add(1)
        sql.add(2)

    with pytest.raises(ScheduleFailed) as failed:
        sql.explore({"A": operation}, check=lambda outcomes: sql.value(1) == sql.value(2), kills=1)
    assert rows(failed)[1:] == [
        "A UPDATE counter SET done = done + 1 WHERE id = 1 → 1 row",
        "A dies here; its connection closes",
        'replay="Aa"',
    ]


def test_a_kill_can_not_be_caught(sql):
    def operation():
        try:
            sql.add()
            sql.add()
        except Exception:  # noqa: BLE001 (like careless code)
            sql.add()

    sql.explore({"A": operation}, check=lambda outcomes: sql.value() in {1, 2}, kills=1)


def test_a_killed_operation_leaves_no_connection_open(sql):
    opened = []

    def operation():
        connection = connections[sql.alias]
        try:
            sql.add()
            sql.add()
        finally:
            connection.close()
            connection.ensure_connection()
            opened.append(connection.connection)

    sql.explore({"A": operation}, check=lambda outcomes: True, kills=1)
    assert len(opened) > 1
    for raw in opened:
        with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError), match="closed"):
            raw.cursor().execute("SELECT 1")


def test_a_statement_held_inside_checks_the_new_row_with_an_old_snapshot(postgres_sql):
    sql = postgres_sql

    def guarded():
        return sql(
            "UPDATE counter SET done = 100 WHERE id = 1"
            " AND (SELECT done FROM counter WHERE id = 2) = 0 RETURNING done"
        )

    with pytest.raises(ScheduleFailed) as failed:
        sql.explore(
            {"A": guarded, "B": lambda: sql.add(2)},
            check=lambda outcomes: False,
            hold=Hold("A", "UPDATE", lock="SELECT 1 FROM counter WHERE id = 1 FOR UPDATE"),
            replay="AB!",
        )
    assert rows(failed)[1].endswith("→ waits for !")
    assert rows(failed)[2:] == [
        "B UPDATE counter SET done = done + 1 WHERE id = 2 → 1 row",
        "! the lock is released",
        "A … continues → 100",
        'replay="AB!"',
    ]


def test_sqlite_has_nothing_to_hold_a_statement_by(sqlite_sql):
    with pytest.raises(ValueError, match="expected PostgreSQL"):
        sqlite_sql.explore(
            {"A": sqlite_sql.add},
            check=lambda outcomes: True,
            hold=Hold("A", "UPDATE", lock="SELECT 1"),
        )


# More schedules than can be tried.


def test_three_operations(sql):
    report = sql.explore(
        {"A": sql.add, "B": sql.add, "C": sql.add}, check=lambda outcomes: sql.value() == 3
    )
    assert (report.schedules, report.exhaustive) == (6, True)


def test_bounded_switches_come_first_and_then_chance(sql):
    orders, report = orders_tried(sql, statements=4, preemptions=1, samples=5, seed=7)
    assert not report.exhaustive
    assert (report.switches, report.sampled, len(orders)) == (1, 5, 8 + 5)
    assert "up to 1 switches; 5 at random (seed=7)" in str(report)


def test_a_failure_found_by_chance_names_its_seed_and_is_shrunk(sql):
    with pytest.raises(ScheduleFailed) as failed:
        sql.explore(
            both(sql.read_and_write),
            check=lambda outcomes: sql.value() == 2,
            schedules_max=1,
            samples=100,
            seed=11,
        )
    assert rows(failed)[-1] == 'replay="ABBA", seed=11'


def test_the_same_seed_draws_the_same_schedules(sql):
    def draw(seed: int) -> list[str]:
        return orders_tried(sql, statements=4, schedules_max=0, samples=6, seed=seed)[0]

    assert draw(1) == draw(1) != draw(2)


# Other failures.


def test_an_unexpected_error_fails_and_an_allowed_one_is_an_outcome(sql):
    def operation():
        sql("INSERT INTO counter VALUES (3, 0)")

    with pytest.raises(ScheduleFailed, match="UnexpectedError: B raised IntegrityError"):
        sql.explore(both(operation), check=lambda outcomes: True)
    sql.explore(
        both(operation),
        check=lambda outcomes: sum(outcome.error is None for outcome in outcomes.values()) == 1,
        allowed=(DatabaseError,),
    )


def test_an_operation_that_never_ends_is_reported(sql, monkeypatch):
    monkeypatch.setattr(run_module, "STEPS_MAX", 20)

    def operation():
        while True:
            sql.value()

    with pytest.raises(ScheduleFailed, match="NeverEnds") as failed:
        sql.explore({"A": operation}, check=lambda outcomes: True)
    assert isinstance(failed.value.__cause__, NeverEnds)


def test_a_lock_of_a_stranger_is_reported(postgres_sql, connect, monkeypatch):
    monkeypatch.setattr(run_module, "STUCK_SECONDS_MAX", 0.2)
    sql, stranger = postgres_sql, connect()

    def setup():
        if not stranger.connection:
            sql.reset()
            stranger.set_autocommit(False)
            stranger.cursor().execute("UPDATE counter SET done = 7 WHERE id = 1")

    with pytest.raises(ScheduleFailed, match="waits for process") as failed:
        sql.explore({"A": sql.add}, setup=setup, check=lambda outcomes: True)
    assert isinstance(failed.value.__cause__, Stuck)
    stranger.rollback()
    assert sql.value() == 0


def test_a_test_inside_a_transaction_is_refused(sql):
    with sql.atomic(), pytest.raises(ValueError, match="transactional_db"):
        sql.explore({"A": sql.add}, check=lambda outcomes: True)


def test_no_thread_and_no_connection_stays(postgres_sql):
    sql = postgres_sql
    connected = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'interleave%%'"
    threads, connections = set(threading.enumerate()), set(sql(connected))  # of others
    sql.explore(both(sql.add), check=lambda outcomes: True, kills=1)
    assert not set(threading.enumerate()) - threads
    # The server closes them after the client.
    assert eventually(lambda: not set(sql(connected)) - connections)
