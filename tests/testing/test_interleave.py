"""The explorer, on tables of the tests' own: nothing here is joblot's."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections, models, transaction

from joblot.testing.interleave import Hold, NeverEnds, Report, ScheduleFailed, Stuck, explore
from joblot.testing.interleave import run as run_module
from tests.polling import eventually

DOCS = Path(__file__).parents[2] / "docs" / "interleave.md"


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
    """Statements on the test's database, by whichever thread calls."""

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
    """The table without its widths."""
    return [" ".join(line.split()) for line in str(failed.value).splitlines()]


def both(operation: Callable[[], object]) -> dict[str, Callable[[], object]]:
    return {"A": operation, "B": operation}


# The unlocked counter.


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)


def documented_test(sql: Sql, *handlers: str) -> None:
    """Run the documented test with the documented handlers, the last of a name winning."""
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


def orders_tried(sql: Sql, statements: int, **options: object) -> tuple[list[str], Report]:
    """In which orders two operations ran so many reads each."""
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
        "B … goes on → 1 row",
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


# Dying, and waiting inside.


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


def test_who_dies_can_not_be_caught(sql):
    def operation():
        try:
            sql.add()
            sql.add()
        except Exception:  # noqa: BLE001 (as careless code does)
            sql.add()

    sql.explore({"A": operation}, check=lambda outcomes: sql.value() in {1, 2}, kills=1)


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
        "! the lock is given back",
        "A … goes on → 100",
        'replay="AB!"',
    ]


def test_sqlite_has_nothing_to_hold_a_statement_by(sqlite_sql):
    with pytest.raises(ValueError, match="expected PostgreSQL"):
        sqlite_sql.explore(
            {"A": sqlite_sql.add},
            check=lambda outcomes: True,
            hold=Hold("A", "UPDATE", lock="SELECT 1"),
        )


# More than can be tried.


def test_three_operations(sql):
    report = sql.explore(
        {"A": sql.add, "B": sql.add, "C": sql.add}, check=lambda outcomes: sql.value() == 3
    )
    assert (report.schedules, report.exhaustive) == (6, True)


def test_bounded_switches_come_first_and_then_chance(sql):
    orders, report = orders_tried(sql, statements=4, preemptions=1, samples=5, seed=7)
    assert not report.exhaustive
    assert (report.switches, report.sampled, len(orders)) == (1, 5, 8 + 5)
    assert "up to 1 switches; 5 by chance (seed=7)" in str(report)


def test_a_failure_found_by_chance_tells_its_seed_and_is_made_small(sql):
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


# What goes wrong otherwise.


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


def test_an_operation_that_never_ends_is_told(sql, monkeypatch):
    monkeypatch.setattr(run_module, "STEPS_MAX", 20)

    def operation():
        while True:
            sql.value()

    with pytest.raises(ScheduleFailed, match="NeverEnds") as failed:
        sql.explore({"A": operation}, check=lambda outcomes: True)
    assert isinstance(failed.value.__cause__, NeverEnds)


def test_a_lock_of_a_stranger_is_told(postgres_sql, connect, monkeypatch):
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
    sql.explore(both(sql.add), check=lambda outcomes: True, kills=1)
    assert not [thread for thread in threading.enumerate() if "operation-" in thread.name]
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'interleave%%'"
    assert eventually(lambda: sql(left) == [(0,)])  # the server ends them after the client


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
