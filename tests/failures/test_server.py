"""The server's part of CT, CL and SN: heartbeats, and a stalled sweep."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest
from django.db import OperationalError, connections
from django.test import Client

from joblot.config import limits
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read import pulse
from joblot.ledger.rows import workers
from joblot.ledger.submit.submit import submit
from joblot.models import WorkerInstance
from tests.cli.conftest import Joblot, joblot_on_postgres, make_joblot
from tests.failures.statements import written_by
from tests.ledger.worker import keys, lease, succeed
from tests.polling import eventually
from tests.server.conftest import http, local, served
from tests.server.process import Serving
from tests.server.raw import AUTHORIZED
from tests.server.served import Served

__all__ = ["http", "joblot_on_postgres", "local", "make_joblot", "served"]


@pytest.fixture(autouse=True)
def nobody_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    workers.forget()


def poll(http: httpx.Client, worker: str, **more: Any) -> None:
    asked = {"pipelines": ["p"], "about": {"version": "1"}} | more
    answer = http.post("claims", json=asked, headers={"Joblot-Worker": worker})
    assert answer.status_code == 200, answer.text


def test_CT4_many_polls_write_one_heartbeat(ledger_db: str) -> None:
    def polls() -> None:
        for _ in range(200):
            workers.seen(0, "gpu-1", {"v": 1})

    assert 1 <= len(written_by(polls)) <= 2  # an update, and an insert where there is no row yet


def test_CT4_a_heartbeat_that_can_not_be_written_harms_no_claim(
    ledger_db: str, local: None, client: Client
) -> None:
    submit("night", keys(3), pipeline="p")

    def breaks(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if f'"{WorkerInstance._meta.db_table}"' in sql:  # a claim's own statements don't quote it
            raise OperationalError("no room for heartbeats")
        return execute(sql, params, many, context)

    with connections[ledger_db].execute_wrapper(breaks):
        asked = {"pipelines": ["p"], "about": {"version": "1"}}
        headers = {"Joblot-Worker": "gpu-1", **AUTHORIZED}
        answer = client.post(
            "/api/v1/claims", asked, content_type="application/json", headers=headers
        )
    assert len(answer.json()["leases"]) == 1


def test_CL8_of_two_workers_of_one_pipeline_exactly_the_dead_one_goes_offline(
    http: httpx.Client, clock: Any, configure: Callable[..., None]
) -> None:
    configure(worker_seen_seconds=1e-9)
    poll(http, "gpu-1")
    poll(http, "gpu-2")
    clock.forward(limits().worker_offline_seconds - 1)
    poll(http, "gpu-2")
    clock.forward(2)
    found = http.get("workers").json()["workers"]
    assert {one["instance"]: one["state"] for one in found} == {"gpu-1": "quiet", "gpu-2": "online"}


@pytest.fixture
def standing_still(configure: Callable[..., None]) -> None:
    """A sweep that stops after one round."""
    configure(sweep_seconds=3600, sweep_overdue_seconds=0.05)


def test_SN1_a_sweep_that_stands_still_is_reported(
    standing_still: None, served: Served, clock: Any
) -> None:
    """Its overdue work shows it: a lease that has expired is still live."""
    eventually(lambda: pulse._swept_at is not None)
    submit("night", keys(2), pipeline="p", policy={"lease_seconds": 1})
    held = lease()
    clock.forward(2)
    for what in ("2 items are held by a lease that expired", "this process has not swept"):
        eventually(partial(is_told, served, what))
    sweep()
    pulse.beat()
    assert not any("held by" in one for one in unhealthy(served))
    assert succeed(held) == ["counted"] * 2


def is_told(served: Served, what: str) -> bool:
    return any(what in one for one in unhealthy(served))


def unhealthy(served: Served) -> list[str]:
    url = f"{served.url}/healthz"
    answer = httpx.get(url, headers=AUTHORIZED, timeout=60, trust_env=False)
    assert answer.status_code == (503 if answer.json()["wrong"] else 200)
    return list(answer.json()["wrong"])


@contextmanager
def frozen(server: Serving) -> Iterator[None]:
    """The server is up but does nothing."""
    os.kill(server.process.pid, signal.SIGSTOP)
    yield
    os.kill(server.process.pid, signal.SIGCONT)


def test_SN1_others_sweep_for_a_server_that_is_frozen(joblot_on_postgres: Joblot) -> None:
    with Serving(joblot_on_postgres) as server, Serving(joblot_on_postgres) as other:
        job = {"name": "night", "pipeline": "p", "items": ["a", "b"]}
        server.post("jobs", {**job, "policy": {"lease_seconds": 0.2}}, expect=201)
        server.post("claims", {"pipelines": ["p"]})
        with frozen(server):
            states = "SELECT state FROM joblot_lease"
            url = joblot_on_postgres.environment["JOBLOT_DATABASE_URL"]
            with closing(psycopg.connect(url, autocommit=True)) as database:
                eventually(lambda: database.execute(states).fetchall() != [(0,)])
            assert other.health().status_code == 200
            claimed = other.post("claims", {"pipelines": ["p"], "wait_seconds": 10})
            assert len(claimed["leases"]) == 1
