"""Gauges for monitoring an installation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from joblot.api import counters
from joblot.errors import WrongStatus
from joblot.identity.tokens import issue
from joblot.ledger.claim.claim import claim
from joblot.ledger.db.transactions import alias
from joblot.ledger.job import lifecycle
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.report.report import report
from joblot.ledger.rows import workers
from joblot.ledger.submit.submit import submit
from joblot.models import Event, Tally
from joblot.webhooks.subscriptions import subscribe
from joblot.wire import failure, success
from tests.ledger.conftest import clock
from tests.ledger.worker import keys

__all__ = ["clock"]


class Watcher:
    """Reads the gauges like Prometheus with this token."""

    def __init__(self, token: str | None) -> None:
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, **headers: str) -> Any:
        return Client().get("/metrics", headers=self.headers | headers)

    def families(self) -> list[Metric]:
        answer = self.ask()
        assert answer.status_code == 200, answer.content
        assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return list(text_string_to_metric_families(answer.content.decode()))

    def read(self) -> dict[str, float]:
        """The gauges, by the status that they are of, or their name."""
        return {
            one.labels.get("status") or one.name.removeprefix("joblot_"): one.value
            for family in self.families()
            if family.type == "gauge" and not family.name.endswith("_created")
            for one in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """A counter's value, or 0 if it has not counted yet."""
        found = [
            one.value
            for family in self.families()
            for one in family.samples
            if one.name == name and labels.items() <= one.labels.items()
        ]
        return sum(found)


@pytest.fixture
def watcher(ledger_db: str) -> Watcher:
    counters.watch()
    return Watcher(issue("watcher", ["read"])[0])


def test_work_in_progress_is_counted(watcher: Watcher, clock: Any) -> None:
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


def test_what_the_sweep_has_to_do_is_counted_until_it_is_done(watcher: Watcher, clock: Any) -> None:
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
    assert len(queries) < 32


def test_a_count_ends_at_its_limit(watcher: Watcher, configure: Callable[..., None]) -> None:
    configure(gauge_rows_max=3)
    for n in range(5):
        submit(f"night {n}", keys(1), pipeline="p")
    assert watcher.read()["waiting_ranges"] == 3
    for _ in range(5):
        claim("p")
    read = watcher.read()
    assert (read["live_leases"], read["in_flight_items"]) == (3, 3)


def test_receipts_are_counted_by_kind_and_outcome(watcher: Watcher) -> None:
    def totals() -> list[float]:
        return [
            watcher.total("joblot_receipts_total", receipt=receipt, outcome=outcome)
            for receipt, outcome in (
                ("counted", "succeeded"),
                ("counted", "failed"),
                ("duplicate", "succeeded"),
                ("rejected", ""),
            )
        ]

    before = totals()
    submit("night", keys(4), pipeline="p")
    (lease,) = claim("p").leases
    report(lease.token, [success(0), success(1), failure(2, "bad"), {"item": "x"}])
    report(lease.token, [success(0)])
    assert [now - then for now, then in zip(totals(), before, strict=True)] == [2, 1, 1, 1]


def test_expired_leases_and_lost_items_are_counted_once_committed(watcher: Watcher) -> None:
    names = ("joblot_leases_expired_total", "joblot_items_lost_total")
    before = [watcher.total(name) for name in names]
    submit("night", keys(1), pipeline="p", policy={"expiries_max": 1})
    for _ in range(2):  # first together with others, if there are any; then alone
        for lease in claim("p").leases:
            assert expire(lease.token)
    after = [watcher.total(name) for name in names]
    assert [now - then for now, then in zip(after, before, strict=True)] == [2, 1]


def test_how_long_verbs_take_is_measured_also_when_they_fail(watcher: Watcher) -> None:
    def measured(verb: str, result: str) -> float:
        return watcher.total("joblot_verb_seconds_count", verb=verb, result=result)

    before = [measured("claim", "ok"), measured("report", "ok"), measured("pause", "error")]
    job = submit("night", keys(1), pipeline="p")
    (lease,) = claim("p").leases
    report(lease.token, [success(0)])
    with pytest.raises(WrongStatus):
        lifecycle.pause(job.pk)
    after = [measured("claim", "ok"), measured("report", "ok"), measured("pause", "error")]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1]


def test_ended_jobs_are_counted_and_drift_shows(watcher: Watcher) -> None:
    job = submit("night", keys(2), pipeline="p")
    (lease,) = claim("p").leases
    report(lease.token, [success(0), success(1)])
    seen = watcher.read()
    assert (seen["SUCCESS"], seen["drifted_jobs"], seen["double_finals"]) == (1, 0, 0)
    Tally.ledger.using(alias()).filter(job_id=job.pk).update(succeeded=1)
    assert watcher.read()["drifted_jobs"] == 1


def test_a_second_final_would_show(watcher: Watcher) -> None:
    job = submit("night", keys(1), pipeline="p")
    (lease,) = claim("p").leases
    report(lease.token, [success(0)])
    with connections[alias()].cursor() as cursor:  # which the constraint refuses
        cursor.execute("DROP INDEX joblot_event_finished_once")
    Event.ledger.using(alias()).create(job_id=job.pk, run=1, revision=1, kind="finished")
    assert watcher.read()["double_finals"] == 1
