"""Claims that meet in a process share a statement; each gets what it would get by itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, connections

from joblot.ledger.claim import together
from joblot.ledger.claim.claim import claim_as
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.states import NoLease
from joblot.wire import Claim, NextClaim
from tests.failures.statements import statements_of
from tests.ledger import worker
from tests.ledger.worker import keys, numbers
from tests.polling import eventually
from tests.races.meeting import Gate

pytestmark = pytest.mark.usefixtures("postgres_only")

FIRST = "joblot_claim_1("  # the statement of a claim that is the only one
SHARED = "joblot_claim_together_1("
BROKEN = """
CREATE FUNCTION joblot_broken() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'broken'; END $$;
CREATE TRIGGER broken BEFORE INSERT ON joblot_lease
FOR EACH ROW WHEN (NEW.worker = 'bad') EXECUTE FUNCTION joblot_broken()
"""
MENDED = "DROP TRIGGER broken ON joblot_lease; DROP FUNCTION joblot_broken()"

Meet = Callable[..., list[Any]]


@pytest.fixture
def meet(in_thread: Any) -> Meet:
    """Make these claims in one statement: they arrive while another one is in flight."""

    def met(*given: NextClaim) -> list[Any]:
        submit("first", keys(1), pipeline="first")
        gate, waiting = Gate(FIRST), together._groups.of("postgres")
        first = in_thread(gate.through(lambda: claim_as(NextClaim(["first"]), shared=True)))
        gate.wait()
        behind = []
        for place, one in enumerate(given, 1):
            behind.append(in_thread(partial(claim_as, one, shared=True)))
            eventually(lambda place=place: len(waiting._waiting) == place)  # type: ignore[misc]
        gate.open()
        assert first.result().leases
        return behind

    return met


def items(answer: Claim) -> list[int]:
    return [number for lease in answer.leases for number in numbers(lease)]


def test_each_gets_items_of_its_own(meet: Meet) -> None:
    """Also across the ranges, of which a statement takes several."""
    submit("some", keys(20), pipeline="p")
    submit("more", keys(3), pipeline="q")
    answers = [one.result() for one in meet(*[NextClaim(["p"], 6)] * 4, NextClaim(["q"], 5))]
    assert [items(one) for one in answers[:4]] == [
        list(range(6)),
        list(range(6, 12)),
        list(range(12, 18)),
        [18, 19],
    ]
    assert items(answers[4]) == [0, 1, 2]


def test_they_are_one_transaction(meet: Meet) -> None:
    job = submit("some", keys(20), pipeline="p")
    for one in meet(*[NextClaim(["p"], 2)] * 5):
        one.result()
    with connections["postgres"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT xmin::text) FROM joblot_lease WHERE job_id = %s",
            [job.pk],
        )
        assert cursor.fetchone() == (5, 1)


def test_the_caps_hold_among_them(meet: Meet) -> None:
    submit("capped", keys(20), pipeline="p", policy={"in_flight_items_max": 3})
    answers = [one.result() for one in meet(*[NextClaim(["p"], 2)] * 4)]
    assert [len(items(one)) for one in answers] == [2, 2, 0, 0]  # one claim may exceed the cap
    assert answers[2].reason == NoLease.AT_LIMIT


def test_so_does_the_cap_of_an_owner(meet: Meet) -> None:
    submit("some", keys(20), pipeline="p")
    asked = NextClaim(["p"], 3, owner=7, owner_items_max=4)
    answers = [one.result() for one in meet(asked, asked, asked, NextClaim(["p"], 3, owner=8))]
    assert [len(items(one)) for one in answers] == [3, 1, 0, 3]
    assert answers[2].reason == NoLease.AT_LIMIT


def test_a_key_that_comes_twice_gets_one_lease(meet: Meet) -> None:
    submit("some", keys(20), pipeline="p")
    asked = NextClaim(["p"], 3, idempotency_key="once")
    one, other = (found.result() for found in meet(asked, asked))
    assert one == other
    assert Lease.objects.filter(idempotency_key="once").count() == 1


def test_if_one_of_them_fails_the_others_are_made_alone(meet: Meet) -> None:
    submit("some", keys(20), pipeline="p")
    with connections["postgres"].cursor() as cursor:
        cursor.execute(BROKEN)
        try:
            good, bad, other = meet(
                NextClaim(["p"], 2), NextClaim(["p"], 2, worker="bad"), NextClaim(["p"], 2)
            )
            assert sorted(items(good.result()) + items(other.result())) == [0, 1, 2, 3]
            with pytest.raises(DatabaseError, match="broken"):
                bad.result()
        finally:
            cursor.execute(MENDED)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_waits_for_no_claim_of_its_parent(in_thread: Any) -> None:
    """The thread that leads is not there."""
    submit("first", keys(1), pipeline="first")
    gate = Gate(FIRST)
    first = in_thread(gate.through(lambda: claim_as(NextClaim(["first"]), shared=True)))
    gate.wait()
    child = os.fork()
    if child == 0:
        os._exit(len(list(together._groups)))
    assert os.waitpid(child, 0)[1] == 0
    gate.open()
    assert first.result().leases


def test_one_that_is_alone_is_one_statement(caches_kept: None) -> None:
    submit("some", keys(20), pipeline="p")
    for _ in range(2):  # the first starts the job, at which the candidates are read again
        worker.lease(limit=1)
    (statement,) = statements_of(lambda: claim_as(NextClaim(["p"], 2), shared=True))
    assert FIRST in statement
