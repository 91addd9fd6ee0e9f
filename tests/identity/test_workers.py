"""Workers: each has its own last-seen time."""

from __future__ import annotations

import pytest

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.identity import workers
from joblot.identity.workers import seen


@pytest.fixture(autouse=True)
def nobody_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_seen_at", {})


def online() -> dict[str, bool]:
    return {one["instance"]: one["online"] for one in workers.workers()}


def test_of_two_workers_exactly_the_dead_one_goes_offline(ledger_db: str, clock, configure) -> None:
    configure(worker_seen_seconds=1e-9)
    seen(1, "gpu-1")
    seen(1, "gpu-2")
    assert online() == {"gpu-1": True, "gpu-2": True}
    clock.forward(limits().worker_offline_seconds - 1)
    seen(1, "gpu-2")
    clock.forward(2)
    assert online() == {"gpu-1": False, "gpu-2": True}


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
