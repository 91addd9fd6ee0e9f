"""The suite's own fixtures work."""

from __future__ import annotations

import threading

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction

from joblot.models import Job
from tests import databases


def test_the_same_test_runs_on_both_databases(ledger_db):
    vendor = {"sqlite": "sqlite", "postgres": "postgresql"}[ledger_db]
    assert connections[ledger_db].vendor == vendor
    assert databases.current() == ledger_db


def test_a_fixture_for_one_database_leaves_the_other_out(postgres_only):
    assert postgres_only == "postgres"


def test_tables_are_there_and_empty(ledger_db):
    for model in apps.get_app_config("joblot").get_models():
        assert model._default_manager.count() == 0


def test_emptying_removes_what_was_committed(ledger_db):
    Job.ledger.bulk_create([Job(name="left behind")])
    databases.empty(ledger_db)
    assert not Job.objects.exists()


def test_emptying_leaves_the_connection_of_a_test_and_its_plans_alone(postgres_only):
    connections[postgres_only].close()
    databases.empty(postgres_only)
    assert connections[postgres_only].connection is None


def test_emptying_names_a_transaction_that_was_left_open(postgres_only, connect, monkeypatch):
    monkeypatch.setattr(databases, "LOCK_SECONDS_MAX", 0.01)
    Job.ledger.bulk_create([Job(name="locked")])
    forgotten = connect()
    forgotten.set_autocommit(False)
    with forgotten.cursor() as cursor:
        cursor.execute("SELECT id FROM joblot_job FOR UPDATE")
    with pytest.raises(AssertionError, match="left a transaction open"):
        databases.empty(postgres_only)


def test_a_durable_server_keeps_rows_over_a_crash(durable_postgres):
    Job.ledger.bulk_create([Job(name="kept")])
    durable_postgres.restart("immediate")
    connections["postgres"].close()
    assert Job.objects.get().name == "kept"


def test_a_query_that_does_not_ask_the_router_fails():
    with pytest.raises(ImproperlyConfigured), transaction.atomic():
        pass


def test_sqlite_keeps_a_write_ahead_log(sqlite_only):
    with connections[sqlite_only].cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_thread_has_a_connection_of_its_own(ledger_db, in_thread):
    here = connections[ledger_db]
    assert in_thread(lambda: connections[ledger_db] is here).result() is False


def test_a_thread_raises_its_error_where_the_result_is_asked(in_thread):
    def fail() -> None:
        raise ValueError("from the thread")

    with pytest.raises(ValueError, match="from the thread"):
        in_thread(fail).result()


def test_threads_run_beside_the_test(in_thread):
    go = threading.Event()
    running = in_thread(go.wait, 30)
    assert not running.done
    go.set()
    assert running.result()


def test_a_second_connection_sees_only_what_is_committed(ledger_db, connect):
    with connections[ledger_db].cursor() as cursor:
        cursor.execute("CREATE TABLE committed (n INTEGER)")
    try:
        with transaction.atomic(using=ledger_db):
            connections[ledger_db].cursor().execute("INSERT INTO committed VALUES (1)")
            assert _count(connect()) == 0
        assert _count(connect()) == 1
    finally:
        with connections[ledger_db].cursor() as cursor:
            cursor.execute("DROP TABLE committed")


def _count(connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM committed")
        return int(cursor.fetchone()[0])
