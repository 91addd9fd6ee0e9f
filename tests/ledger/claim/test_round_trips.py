"""What a claim sends: its round trips are pinned, so that none comes back unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections, transaction

from joblot.errors import WorkerRevoked
from joblot.ledger.claim.claim import claim
from joblot.ledger.maintain.revocation import revoke_worker
from joblot.ledger.submit.submit import submit
from joblot.models import ItemRange, Lease
from joblot.testing.interleave.psycopg_watch import WatchedConnection
from tests.failures.statements import statements_of
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, keys, numbers, succeed

FUNCTION = "SELECT outcome, place, range_id"


class Sent:
    """Writes down what a connection sends, also what Django does not show, such as COMMIT."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def perform(self, statement: Any, call: Callable[[], Any], is_busy: object) -> Any:
        self.statements.append(statement.plain)
        return call()


class NoGates:
    def keep(self, raw: Any) -> None:
        """The function has no steps here."""


@contextmanager
def sent() -> Iterator[list[str]]:
    raw, log = connections["postgres"].connection, Sent()
    kind = type(raw)
    WatchedConnection.watch(raw, log, NoGates())  # type: ignore[arg-type]
    yield log.statements
    raw.remove_notice_handler(raw.note_step)
    raw.__class__ = kind


@pytest.fixture
def started(postgres_only: str, caches_kept: None) -> None:
    """A job in two stages with items in each, of which some were claimed."""
    submit("claimed", keys(400), stages=TWO_STAGES)
    succeed(worker.lease("p", 64))
    worker.lease("p", 16)
    worker.lease("q", 16)


CLAIMS: dict[str, Callable[[], Any]] = {
    "of 16": lambda: claim("p", 16),
    "of several ranges, with inputs": lambda: claim("q", 40),
    "by a worker": lambda: claim("p", 16, worker="w"),
    "with a key": lambda: claim("p", 16, idempotency_key="once"),
    "of a capped owner": lambda: claim("p", 16, owner=1, owner_items_max=20),
}


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_claim_is_one_round_trip(started: None, kind: str) -> None:
    claim("p", 1, worker="w")  # that a worker asked for a pipeline is written once in a while
    claim(["p", "q"], 1)
    with sent() as statements:
        assert CLAIMS[kind]().leases
    assert [one[: len(FUNCTION)] for one in statements] == [FUNCTION]


def test_the_first_claim_of_a_job_starts_it_in_a_transaction_of_its_own(postgres_only: str) -> None:
    submit("fresh", keys(3), pipeline="p")
    claim("other")
    with sent() as statements:
        assert claim("p", 1).leases
    at = next(n for n, one in enumerate(statements) if one.startswith(FUNCTION))
    verbs = [one.split()[0] for one in statements[at + 1 : at + 4]]
    assert verbs == ["UPDATE", "INSERT", "COMMIT"]


def test_a_refusal_is_no_rollback(started: None) -> None:
    """At which psycopg would drop every statement that it has prepared."""
    capped = submit("capped", keys(4), pipeline="r", policy={"in_flight_items_max": 1})
    submit("another", keys(2), pipeline="r")
    assert worker.lease("r").job == capped.pk
    with sent() as statements:
        assert worker.lease("r").job != capped.pk
    assert [one[: len(FUNCTION)] for one in statements[:2]] == [FUNCTION, FUNCTION]
    assert not [one for one in statements if one.startswith(("ROLLBACK", "DEALLOCATE"))]


def test_a_claim_that_finds_nothing_asks_twice_for_any_caller(ledger_db: str) -> None:
    claim("nothing", worker="w")
    assert len(statements_of(lambda: claim("nothing", worker="w"))) == 2
    assert len(statements_of(lambda: claim("nothing"))) == 2


def test_inside_a_test_case_a_claim_is_part_of_its_transaction(ledger_db: str) -> None:
    submit("claimed", keys(3), pipeline="p")
    block = transaction.atomic(using=ledger_db)
    block._from_testcase = True  # type: ignore[attr-defined] # as Django's TestCase does
    with block:
        assert numbers(worker.lease(limit=2)) == [0, 1]
        assert numbers(worker.lease(limit=2)) == [2]
        transaction.set_rollback(True, using=ledger_db)
    assert not Lease.objects.exists()
    assert numbers(worker.lease()) == [0, 1, 2]
    assert not ItemRange.objects.exists()


def test_a_revoked_worker_that_finds_nothing_learns_that_it_is_revoked(ledger_db: str) -> None:
    claim("nothing", worker="w")
    revoke_worker(0, "w")
    with pytest.raises(WorkerRevoked, match="was revoked"):
        claim("nothing", worker="w")
