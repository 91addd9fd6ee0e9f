"""Gauges for monitoring an installation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from joblot.identity.tokens import issue
from joblot.ledger.claim.claim import claim
from joblot.ledger.db.transactions import alias
from joblot.ledger.job import lifecycle
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.report.report import report
from joblot.ledger.rows import workers
from joblot.ledger.submit.submit import submit
from joblot.webhooks.subscriptions import subscribe
from joblot.wire import success
from tests.ledger.conftest import clock
from tests.ledger.worker import keys

__all__ = ["clock"]

SAMPLE = re.compile(r'(joblot_[a-z_]+)(?:\{status="([A-Z_]+)"\})? ([0-9.e+-]+)')


class Watcher:
    """Reads the gauges like Prometheus with this token."""

    def __init__(self, token: str | None) -> None:
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, **headers: str) -> Any:
        return Client().get("/metrics", headers=self.headers | headers)

    def read(self) -> dict[str, float]:
        answer = self.ask()
        assert answer.status_code == 200, answer.content
        assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return dict(map(sample, filter(is_sample, answer.content.decode().splitlines())))


def is_sample(line: str) -> bool:
    return not line.startswith("# ")


def sample(line: str) -> tuple[str, float]:
    found = SAMPLE.fullmatch(line)
    assert found, line
    return found[2] or found[1].removeprefix("joblot_"), float(found[3])


@pytest.fixture
def watcher(ledger_db: str) -> Watcher:
    return Watcher(issue("watcher", ["read"])[0])


def test_what_is_under_way_is_told(watcher: Watcher, clock: Any) -> None:
    assert set(watcher.read().values()) == {0}
    subscribe("https://example.org/hook")
    lifecycle.pause(submit("paused", keys(4), pipeline="other").pk)
    submit("night", keys(10), pipeline="p")
    (lease,) = claim("p", 6, worker="w").leases
    report(lease.token, [success(0), success(1)])
    workers.seen(0, "w")
    seen = watcher.read()
    assert (seen["PAUSED"], seen["STARTED"], seen["CREATED"]) == (1, 1, 0)
    assert (seen["live_leases"], seen["in_flight_items"]) == (1, 4)
    assert seen["online_workers"] == 1
    assert seen["waiting_ranges"] >= 2
    assert seen["lease_overdue_seconds"] == 0
    clock.forward(310)
    assert watcher.read()["lease_overdue_seconds"] == pytest.approx(10, abs=1)


def test_what_the_sweep_has_to_do_is_told_until_it_is_done(watcher: Watcher, clock: Any) -> None:
    subscribe("https://example.org/hook")
    submit("night", keys(1), pipeline="p")
    (lease,) = claim("p").leases
    report(lease.token, [success(0)])
    clock.forward(20)
    seen = watcher.read()
    assert seen["waiting_events"] >= 1
    assert seen["jobs_due"] == 1
    assert seen["event_overdue_seconds"] == pytest.approx(20, abs=1)
    sweep()
    clock.forward(5)
    seen = watcher.read()
    assert (seen["waiting_events"], seen["event_overdue_seconds"], seen["jobs_due"]) == (0, 0, 0)
    assert seen["waiting_deliveries"] == 1
    assert seen["delivery_overdue_seconds"] == pytest.approx(5, abs=1)


def test_who_may_read_it(api: Callable[..., Any], ledger_db: str) -> None:
    def status(*scopes: str, **rights: Any) -> int:
        return int(Watcher(issue("x", scopes, **rights)[0]).ask().status_code)

    assert (status("read"), status("admin")) == (200, 200)
    assert (status("work"), status("submit")) == (403, 403)
    assert status("admin", projects=["alps"]) == 403
    assert Watcher("joblot_nonsense").ask().status_code == 401
    assert Watcher(None).ask().status_code == 401


def test_no_gauge_reads_items_or_outcomes(watcher: Watcher) -> None:
    submit("night", keys(10), pipeline="p")
    with CaptureQueriesContext(connections[alias()]) as queries:
        watcher.read()
    text = " ".join(query["sql"] for query in queries)
    assert not re.search(r"joblot_(item|outcome|attempt)\b", text)
    assert len(queries) < 25


def test_a_count_ends_at_its_limit(watcher: Watcher, configure: Callable[..., None]) -> None:
    configure(gauge_rows_max=3)
    for n in range(5):
        submit(f"night {n}", keys(1), pipeline="p")
    assert watcher.read()["waiting_ranges"] == 3
    for _ in range(5):
        claim("p")
    read = watcher.read()
    assert (read["live_leases"], read["in_flight_items"]) == (3, 3)
