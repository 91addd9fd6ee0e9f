"""Filling a job while the database fails during a COPY."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from django.db import connections

from joblot.errors import InvalidInput, Unavailable
from joblot.ledger.submit.submit import add_items, submit
from joblot.models import Item, Job
from joblot.testing.simulator.trouble import Kind, Trouble, injected
from tests.failing_inserts import (
    CONFLICT,
    DISK_FULL,
    KILLED,
    LOCKED,
    NO_SUCH_CHARACTER,
    SECRET,
    SLOW,
    failing,
    raising,
)
from tests.ledger.worker import keys

ITEMS = [{"key": f"k{n}", "payload": SECRET} for n in range(3)]


@pytest.fixture
def job(postgres_only: str) -> Job:
    return submit("open", ["first"], pipeline="p", seal=False)


@pytest.mark.parametrize("sqlstate", [CONFLICT, LOCKED])
def test_a_conflict_is_repeated(job: Job, sqlstate: str) -> None:
    with failing(raising(sqlstate), times=3):
        assert add_items(job.pk, ITEMS) == 3
    assert Item.objects.count() == 4


@pytest.mark.parametrize(
    "action", [raising(DISK_FULL), KILLED, SLOW], ids=["disk full", "killed", "too slow"]
)
def test_a_temporary_failure_is_unavailable_and_shows_no_payload(job: Job, action: str) -> None:
    with failing(action):
        with connections["postgres"].cursor() as cursor:
            cursor.execute("SET statement_timeout = '300ms'")
        with pytest.raises(Unavailable, match="try again later") as caught:
            add_items(job.pk, ITEMS)
        connections["postgres"].close()
    assert SECRET not in str(caught.value)
    assert "0 items of this stream were added" in str(caught.value)
    assert add_items(job.pk, ITEMS) == 3


def test_what_the_database_cannot_keep_is_the_callers_to_change(job: Job) -> None:
    with failing(raising(NO_SUCH_CHARACTER)), pytest.raises(InvalidInput) as caught:
        add_items(job.pk, ITEMS)
    assert SECRET not in str(caught.value)


def test_a_stream_that_is_cut_says_how_many_items_it_has_brought(
    ledger_db: str, configure: Any
) -> None:
    """At each statement, also the one that inserts: the number is exact."""
    configure(add_chunk_items=2)
    job = submit("open", [], pipeline="p", seal=False)
    for statement in count():
        there = Item.objects.count()
        message = cut_at(statement, job)
        if message is None:
            break
        assert (
            f"; {Item.objects.count() - there} items of this stream were added; send all" in message
        )
    assert Item.objects.count() == 8


def cut_at(statement: int, job: Job) -> str | None:
    """The message when the connection drops at this statement; None if there is none."""
    with injected(Trouble(Kind.CUT, statement)) as struck:
        try:
            add_items(job.pk, keys(8))
        except Unavailable as error:
            assert struck.yes
            return str(error)
    return None
