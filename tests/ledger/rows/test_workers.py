"""Workers: when each was last seen, and when a pipeline was last asked for."""

from __future__ import annotations

import pytest

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.read import workers
from joblot.ledger.rows import workers as written
from joblot.ledger.rows.workers import ANY_JOB, asked, seen


def test_the_same_name_under_another_token_is_another_worker(ledger_db: str) -> None:
    seen(1, "gpu")
    seen(2, "gpu")
    assert [(one["owner"], one["instance"]) for one in workers.workers(2)] == [(2, "gpu")]
    assert len(workers.workers()) == 2


def test_a_worker_is_written_once_in_a_while(ledger_db: str, django_assert_num_queries) -> None:
    seen(1, "gpu", {"version": "1"})
    seen(1, "gpu")
    with django_assert_num_queries(0, using=ledger_db):
        seen(1, "gpu")
        seen(1, "gpu", {"version": "1"})
    assert workers.workers()[0]["about"] == {"version": "1"}


def test_what_is_new_of_a_worker_is_written_at_once(ledger_db: str) -> None:
    seen(1, "gpu", {"version": "1"})
    seen(1, "gpu", {"version": "2"})
    assert workers.workers()[0]["about"] == {"version": "2"}


@pytest.mark.parametrize("about", [[1], "x", {"x": "y" * 9_000}, {"x": "\x00"}])
def test_what_a_worker_can_not_be(ledger_db: str, about: object) -> None:
    with pytest.raises(InvalidInput):
        seen(1, "gpu", about)


def test_that_a_pipeline_was_asked_for_is_written_again_at_a_random_moment(ledger_db: str) -> None:
    """Otherwise processes that began together would all wait for its row at once."""
    names = {f"asked {n}" for n in range(40)}
    asked(None, "", names, ANY_JOB)
    moments = [at for (_, name, *_), at in written._asked_at.items() if name in names]
    assert len(moments) == 40
    assert max(moments) - min(moments) > limits().worker_seen_seconds / 10
