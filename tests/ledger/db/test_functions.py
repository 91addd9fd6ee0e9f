"""The functions in PostgreSQL: where they are, what they tell a reader, and what if one is gone."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections

import joblot.ledger
from joblot.errors import NotMigrated
from joblot.ledger.claim.claim import claim
from joblot.ledger.db import functions
from joblot.ledger.read.health import health
from joblot.ledger.submit.submit import submit
from joblot.testing.interleave.steps import MARK
from joblot.testing.postgres import PostgresServer
from tests import databases
from tests.ledger import worker
from tests.ledger.worker import keys, numbers

CREATED = import_module("joblot.migrations.0003_functions").FUNCTIONS
TABLE = ("FROM joblot_", "JOIN joblot_", "INSERT INTO joblot_", "UPDATE joblot_")


def test_each_function_has_a_file_and_is_created_by_a_migration() -> None:
    ledger = Path(joblot.ledger.__file__).parent
    end = ".function.postgresql.sql"
    files = {str(path.relative_to(ledger)) for path in ledger.rglob(f"*{end}")}
    assert files == {f"{name}{end}" for name in CREATED}
    assert set(functions.NAMES) <= set(CREATED)


@pytest.mark.parametrize("name", CREATED)
def test_a_step_stands_before_each_statement_that_touches_a_table(name: str) -> None:
    """Otherwise the explorer would not stop there, and take two statements for one."""
    source = functions.source(name)
    before, *segments = MARK.split(source)
    assert not any(word in before for word in TABLE)
    assert segments or name == "claim/window_1"  # it touches none
    for segment in segments:
        statements = [part for part in segment.split(";\n") if any(w in part for w in TABLE)]
        assert len(statements) <= 1, segment


@pytest.mark.parametrize("name", functions.NAMES)
def test_a_function_says_what_it_is_for_and_runs_with_the_rights_of_its_caller(
    postgres_only: str, name: str
) -> None:
    with connections[postgres_only].cursor() as cursor:
        cursor.execute(
            "SELECT obj_description(oid, 'pg_proc'), prosecdef, proconfig FROM pg_proc"
            " WHERE proname = %s",
            [functions.called(name)],
        )
        ((about, definer, settings),) = cursor.fetchall()
    assert about.startswith("purpose: ")
    assert "guard: " in about
    assert "locks: " in about
    assert not definer
    finds_items = {"claim/claim_1", "report/hook_input_1"}
    assert settings == (["jit=off"] if name in finds_items else None)


@pytest.fixture
def without(postgres_only: str) -> Iterator[str]:
    """The database without the function that claims."""
    with connections[postgres_only].cursor() as cursor:
        cursor.execute(functions.removal("claim/claim_1"))
    yield postgres_only
    with connections[postgres_only].cursor() as cursor:
        for statement in functions.creation("claim/claim_1"):
            cursor.execute(statement)


def test_a_missing_function_is_named_by_the_checks_and_by_the_verb(without: str) -> None:
    submit("claimed", keys(1), pipeline="p")
    with pytest.raises(NotMigrated, match="run the migrations"):
        claim("p")
    (found,) = [check for check in health() if check["check"] == "functions"]
    assert (found["ok"], found["found"]) == (False, "missing: joblot_claim_1")
    assert "joblot migrate" in found["advice"]


def test_none_is_missing(ledger_db: str) -> None:
    (found,) = [check for check in health() if check["check"] == "functions"]
    assert (found["ok"], found["found"]) == (True, "in place")


def test_they_are_made_in_the_schema_of_the_tables_and_removed_with_them(
    postgres_server: PostgresServer, django_db_blocker: object
) -> None:
    """Here in a schema that is not `public`, where nothing else of joblot is."""
    postgres_server.create_database("elsewhere")
    settings = postgres_server.django_settings("elsewhere")
    options = connections.settings["postgres"]["OPTIONS"]
    plain = options["options"]
    with django_db_blocker.unblock(), databases.using("postgres"):  # type: ignore[attr-defined]
        before = databases.point("postgres", settings)
        try:
            with connections["postgres"].cursor() as cursor:
                cursor.execute("CREATE SCHEMA work")
            connections["postgres"].close()
            options["options"] = f"{plain} -c search_path=work"
            databases.migrate("postgres")
            submit("elsewhere", keys(3), pipeline="p")
            assert numbers(worker.lease(limit=2)) == [0, 1]
            assert schemas() == {"work"}
            call_command("migrate", "joblot", "0002", database="postgres", verbosity=0)
            assert schemas() == set()
        finally:
            options["options"] = plain
            databases.point("postgres", before)


def schemas() -> set[str]:
    with connections["postgres"].cursor() as cursor:
        cursor.execute(
            "SELECT pronamespace::regnamespace::text FROM pg_proc WHERE proname = ANY (%s)",
            [[functions.called(name) for name in functions.NAMES]],
        )
        return {name for (name,) in cursor.fetchall()}
