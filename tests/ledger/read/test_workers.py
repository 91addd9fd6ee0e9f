"""The workers: which show signs of life, which pipelines they serve, what they hold."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.config import limits
from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import renew
from joblot.ledger.read.workers import presence, serving, workers
from joblot.ledger.rows.workers import ANY_JOB, asked, forget, seen
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import keys, succeed


def known() -> dict[str, dict[str, Any]]:
    return {one["instance"]: one for one in workers()}


def states() -> dict[str, str]:
    return {name: one["state"] for name, one in known().items()}


def test_of_two_workers_exactly_the_dead_one_goes_offline(
    ledger_db: str, clock: Clock, configure: Any
) -> None:
    configure(worker_seen_seconds=1e-9)
    seen(1, "gpu-1")
    seen(1, "gpu-2")
    assert states() == {"gpu-1": "online", "gpu-2": "online"}
    clock.forward(limits().worker_offline_seconds - 1)
    seen(1, "gpu-2")
    clock.forward(2)
    assert states() == {"gpu-1": "quiet", "gpu-2": "online"}
    assert presence() == {"online": 1, "offline": 1, "revoked": 0}
    clock.forward(58)
    assert states() == {"gpu-1": "quiet", "gpu-2": "quiet"}
    clock.forward(59)
    assert states() == {"gpu-1": "offline", "gpu-2": "quiet"}


@pytest.mark.parametrize("owner", [None, 0, 7])
def test_what_a_worker_holds_and_until_when(
    ledger_db: str, clock: Clock, owner: int | None
) -> None:
    submit("held", keys(9), pipeline="p", policy={"lease_seconds": 600})
    lease = worker.lease(limit=2, worker="gpu-1", owner=owner)
    clock.forward(10)
    worker.lease(limit=3, worker="gpu-1", owner=owner)
    succeed(lease, 0)
    one = known()["gpu-1"]
    assert (one["leases"], one["items"]) == (2, 4)
    assert one["until"] == "2030-01-01T00:10:10+00:00"
    assert workers(owner or 0) == [one]
    assert workers(8) == []


def test_a_renewal_is_a_sign_of_life(ledger_db: str, clock: Clock) -> None:
    submit("held", keys(1), pipeline="p", policy={"lease_seconds": 600})
    lease = worker.lease(worker="gpu-1")
    clock.forward(119)  # it renews every 60 s
    assert states() == {"gpu-1": "online"}
    clock.forward(2)
    assert states() == {"gpu-1": "quiet"}
    renew(lease.token)
    assert states() == {"gpu-1": "online"}
    assert known()["gpu-1"]["last_seen_at"] == "2030-01-01T00:02:01+00:00"


def test_one_whose_calls_take_long_is_online_while_it_renews(ledger_db: str, clock: Clock) -> None:
    """Everywhere: it asks for nothing meanwhile, but is as well as its neighbors."""
    submit("held", keys(1), pipeline="p", policy={"lease_seconds": 600})
    lease = worker.lease(worker="gpu-1")
    for _ in range(10):
        clock.forward(119)
        assert states() == {"gpu-1": "online"}
        assert presence() == {"online": 1, "offline": 0, "revoked": 0}
        assert serving("default") == {"p": 1}
        renew(lease.token)
    clock.forward(121)
    assert states() == {"gpu-1": "quiet"}
    assert presence() == {"online": 0, "offline": 1, "revoked": 0}
    assert serving("default") == {}


def test_one_that_holds_items_and_was_seen_in_the_future_is_not_online(
    ledger_db: str, clock: Clock
) -> None:
    clock.forward(7_200)
    submit("held", keys(1), pipeline="p")
    worker.lease(worker="ahead")
    clock.forward(-7_200)
    assert states() == {"ahead": "offline"}
    assert presence() == {"online": 0, "offline": 1, "revoked": 0}


def test_a_claim_records_its_worker_and_the_pipelines_it_asked_for_last(ledger_db: str) -> None:
    claim(["q", "p"], worker="gpu-1")
    assert known()["gpu-1"]["pipelines"] == ["p", "q"]
    claim("r", worker="gpu-1", owner=5)
    claim("s", worker="gpu-1")
    assert [(one["owner"], one["pipelines"]) for one in workers()] == [(0, ["s"]), (5, ["r"])]
    assert serving("default") == {"r": 1, "s": 1}
    assert serving("default", 5) == {"r": 1}


def test_what_a_worker_says_about_itself_survives_its_claims(ledger_db: str) -> None:
    seen(0, "gpu-1", {"version": "1.2", "host": "node"})
    claim("p", worker="gpu-1")
    assert (known()["gpu-1"]["version"], known()["gpu-1"]["host"]) == ("1.2", "node")
    forget()  # another process of the server
    claim("p", worker="gpu-1")
    assert known()["gpu-1"]["version"] == "1.2"


def test_a_claim_records_its_worker_once_in_a_while(
    ledger_db: str, django_assert_num_queries: Any
) -> None:
    claim("p", worker="gpu-1")
    with django_assert_num_queries(0, using=ledger_db):
        asked(None, "gpu-1", ["p"], ANY_JOB)


def test_a_worker_that_gets_nothing_of_its_job_is_online_all_the_same(ledger_db: str) -> None:
    job = submit("held", keys(1), pipeline="p")
    succeed(worker.lease())
    assert worker.nothing("p", job=job.pk, worker="gpu-1")
    assert states() == {"gpu-1": "online"}
