"""The explorer on the tests' own tables, without any of joblot's."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections, models, transaction

from joblot.testing.interleave import ScheduleFailed, explore
from tests.testing.counter import Counter, Sql, both, orders_tried, rows

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "interleave.md"


# The unlocked counter.


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)


def documented_test(sql: Sql, *handlers: str) -> None:
    """Run the documented test with the documented handlers; of equal names, the last wins."""
    names: dict[str, Any] = {"Counter": Counter, "F": models.F}
    test = next(block for block in blocks("python") if "def test_" in block)
    for code in (test, *handlers):
        exec(code, names)
    names["test_both_images_are_counted"](partial(explore, using=sql.alias), None)


def handlers() -> list[str]:
    return [block for block in blocks("python") if block.startswith("def image_done")]


def test_the_documented_counter_fails_with_the_documented_table(postgres_sql):
    with pytest.raises(ScheduleFailed) as failed:
        documented_test(postgres_sql, handlers()[0])
    assert str(failed.value) + "\n" == blocks("text")[0]


def test_the_documented_mend_holds(sql):
    documented_test(sql, handlers()[1])


def test_the_smallest_schedule_of_a_lost_update_has_one_switch(sql):
    with pytest.raises(ScheduleFailed) as failed:
        sql.explore(both(sql.read_and_write), check=lambda outcomes: sql.value() == 2)
    assert rows(failed) == [
        "the check returned False (2 of 4 schedules fail; the smallest)",
        "A SELECT done FROM counter WHERE id = 1 → 0",
        "B SELECT done FROM counter WHERE id = 1 → 0",
        "B UPDATE counter SET done = 1 WHERE id = 1 → 1 row",
        "A UPDATE counter SET done = 1 WHERE id = 1 → 1 row",
        'replay="ABBA"',
    ]


def test_every_order_of_four_statements_is_tried_once(sql):
    orders, report = orders_tried(sql, statements=2)
    assert sorted(orders) == ["AABB", "ABAB", "ABBA", "BAAB", "BABA", "BBAA"]
    assert (report.schedules, report.exhaustive) == (6, True)


def test_the_orders_with_few_switches_come_first(sql):
    orders, report = orders_tried(sql, statements=3)
    switches = [sum(map(str.__ne__, order, order[1:])) for order in orders]
    assert switches[:2] == [1, 1]
    assert switches[-1] == 5
    assert len(set(orders)) == report.schedules == 20


# Replaying.


def test_a_replay_runs_the_schedule_that_failed(sql):
    arguments = {"check": lambda outcomes: sql.value() == 2}
    with pytest.raises(ScheduleFailed) as failed:
        sql.explore(both(sql.read_and_write), **arguments)
    with pytest.raises(ScheduleFailed) as replayed:
        sql.explore(both(sql.read_and_write), **arguments, replay=failed.value.replay)
    assert rows(replayed)[1:] == rows(failed)[1:]
    sql.explore(both(sql.read_and_write), **arguments, replay="AABB")


def test_a_replay_that_does_not_fit_is_refused(sql):
    with pytest.raises(ValueError, match="does not fit"):
        sql.explore(both(sql.add), check=lambda outcomes: True, replay="AAAA")


# Locks.


def test_a_wait_for_a_row_is_seen_and_the_other_goes_on(postgres_sql):
    sql = postgres_sql

    def operation():
        with sql.atomic():
            sql.add()

    report = sql.explore(both(operation), check=lambda outcomes: sql.value() == 2)
    assert (report.schedules, report.exhaustive, report.waits) == (4, True, 2)


def test_a_wait_is_shown_in_the_table(postgres_sql):
    sql = postgres_sql

    def operation():
        with sql.atomic():
            sql.add()

    with pytest.raises(ScheduleFailed) as failed:
        sql.explore(both(operation), check=lambda outcomes: False, replay="ABA")
    assert rows(failed)[1:-1] == [
        "A UPDATE counter SET done = done + 1 WHERE id = 1 → 1 row",
        "B UPDATE counter SET done = done + 1 WHERE id = 1 → waits for A",
        "A COMMIT",
        "B … continues → 1 row",
        "B COMMIT",
    ]


def test_a_row_read_for_update_loses_nothing(postgres_sql):
    sql = postgres_sql

    def operation():
        with sql.atomic():
            done = sql("SELECT done FROM counter WHERE id = 1 FOR UPDATE")[0][0]
            sql("UPDATE counter SET done = %s WHERE id = 1", done + 1)

    report = sql.explore(both(operation), check=lambda outcomes: sql.value() == 2)
    assert report.exhaustive
    assert report.waits


def test_on_sqlite_a_writer_waits_for_the_other_to_commit(sqlite_sql):
    sql = sqlite_sql

    def operation():
        with sql.atomic():
            sql.read_and_write()

    report = sql.explore(both(operation), check=lambda outcomes: sql.value() == 2)
    assert (report.schedules, report.exhaustive) == (2, True)
    assert report.waits


def test_on_sqlite_a_reader_that_wants_to_write_is_refused_as_ever(sqlite_sql):
    sql = sqlite_sql

    def operation():
        sql("BEGIN DEFERRED")
        sql.read_and_write()
        sql("COMMIT")

    with pytest.raises(ScheduleFailed, match="database is locked"):
        sql.explore(both(operation), check=lambda outcomes: True)
    report = sql.explore(
        both(operation),
        check=lambda outcomes: (
            sql.value() == sum(outcome.error is None for outcome in outcomes.values())
        ),
        allowed=(DatabaseError,),
    )
    assert report.exhaustive


def move(sql: Sql, source: int, target: int) -> Callable[[], None]:
    def operation() -> None:
        with sql.atomic():
            sql.add(source, -1)
            sql.add(target, 1)

    return operation


def test_a_deadlock_fails_and_is_shown(postgres_sql):
    sql = postgres_sql
    operations = {"A": move(sql, 1, 2), "B": move(sql, 2, 1)}
    with pytest.raises(ScheduleFailed) as failed:
        sql.explore(operations, check=lambda outcomes: True)
    assert rows(failed)[0].startswith("Deadlocked: A raised OperationalError: deadlock detected")
    assert rows(failed)[3:5] == [
        "B UPDATE counter SET done = done + 1 WHERE id = 1 → waits for A",
        "A UPDATE counter SET done = done + 1 WHERE id = 2 → DeadlockDetected: deadlock detected",
    ]


def test_allowed_deadlocks_are_counted_and_never_hang(postgres_sql):
    sql = postgres_sql
    report = sql.explore(
        {"A": move(sql, 1, 2), "B": move(sql, 2, 1)},
        check=lambda outcomes: sql.value(1) + sql.value(2) == 0,
        deadlocks_allowed=True,
    )
    assert report.exhaustive
    assert report.deadlocks > 0


# What is stopped, beyond Django's cursors.


def texts(sql: Sql, operation: Callable[[], object]) -> list[str]:
    with pytest.raises(ScheduleFailed) as failed:
        sql.explore({"A": operation}, check=lambda outcomes: False)
    return [line.partition(" →")[0].removeprefix("A ") for line in rows(failed)[1:-1]]


def test_savepoints_commit_and_rollback_are_statements(postgres_sql):
    sql = postgres_sql

    def operation():
        with sql.atomic():
            with sql.atomic():
                sql.value()
            transaction.set_rollback(True, using=sql.alias)

    read = "SELECT done FROM counter WHERE id = 1"
    assert texts(sql, operation) == ["SAVEPOINT s1", read, "RELEASE SAVEPOINT s1", "ROLLBACK"]


def test_raw_cursors_copy_pipelines_and_server_side_cursors_are_stopped(postgres_sql):
    sql = postgres_sql

    def operation():
        raw = connections[sql.alias].connection
        raw.execute("SELECT 1")
        with raw.cursor() as cursor, cursor.copy("COPY counter FROM STDIN") as copy:
            copy.write_row((3, 0))
        with raw.pipeline():
            raw.execute("SELECT 2")
            raw.execute("SELECT 3")
        with raw.transaction():
            raw.execute("SELECT 4")
        with sql.atomic(), connections[sql.alias].chunked_cursor() as cursor:
            cursor.execute("SELECT 5")
            cursor.fetchmany(10)

    assert texts(sql, operation) == [
        "SELECT 1",
        "COPY counter FROM STDIN",
        *("SELECT 2", "SELECT 3", "SYNC"),
        *("SELECT 4", "COMMIT"),
        *("DECLARE CURSOR FOR SELECT 5", "FETCH", "COMMIT"),
    ]


def test_raw_cursors_are_stopped_on_sqlite(sqlite_sql):
    sql = sqlite_sql

    def operation():
        raw = connections[sql.alias].connection
        raw.execute("SELECT 1").fetchall()
        raw.cursor().executemany("UPDATE counter SET done = ?", [(1,), (2,)])
        with sql.atomic():
            sql.value()

    assert texts(sql, operation) == [
        "SELECT 1",
        "(many) UPDATE counter SET done = ?",
        *("BEGIN IMMEDIATE", "SELECT done FROM counter WHERE id = 1", "COMMIT"),
    ]


# The pytest plugin, in a plain Django project.

PROJECT_TEST = """
from django.db import connection

def add():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE counter SET done = done + 1")

def done():
    with connection.cursor() as cursor:
        return cursor.execute("SELECT done FROM counter").fetchone()[0]

def reset():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS counter (done)")
        cursor.execute("DELETE FROM counter")
        cursor.execute("INSERT INTO counter VALUES (0)")

def test_counted(interleave, transactional_db):
    interleave({"A": add, "B": add}, setup=reset, check=lambda outcomes: done() == 2)
"""
PROJECT_SETTINGS = """
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "unused",
                         "TEST": {"NAME": "test.sqlite3"}}}
"""


def test_the_plugin_works_in_a_project_without_joblot_installed_as_an_app(tmp_path):
    (tmp_path / "settings.py").write_text(PROJECT_SETTINGS)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["joblot.testing.pytest_plugin"]')
    (tmp_path / "test_project.py").write_text(PROJECT_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "--ds=settings", "-p", "no:cacheprovider"]
    command += ["--interleave-schedules=1", "--interleave-samples=3", "--interleave-seed=5"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "interleave: 4 schedules" in ended.stdout
