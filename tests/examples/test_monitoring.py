"""The dashboard and the alert rules of examples/monitoring name metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from joblot.api import counters
from joblot.identity.tokens import issue
from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import expire
from joblot.ledger.read import pulse
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.wire import success

FOLDER = Path(__file__).parents[2] / "examples" / "monitoring"
NAME = re.compile(r"\bjoblot_[a-z_]+")


@pytest.fixture
def known(ledger_db: str) -> set[str]:
    """The names of all samples that a server exposes once it has done some work."""
    counters.watch()
    submit("night", ["a", "b"], pipeline="p", policy={"expiries_max": 1})
    (lease,) = claim("p", 1).leases
    report(lease.token, [success(0)])
    (lost,) = claim("p", 1).leases
    expire(lost.token)
    pulse.beat()
    try:
        token, _ = issue("watcher", ["read"])
        text = Client().get("/metrics", headers={"Authorization": f"Bearer {token}"}).content
    finally:
        pulse.rest()
    families = text_string_to_metric_families(text.decode())
    return {sample.name for family in families for sample in family.samples}


@pytest.mark.parametrize("file", ["alerts.yml", "grafana-dashboard.json"])
def test_every_metric_that_is_named_exists(file: str, known: set[str]) -> None:
    named = set(NAME.findall((FOLDER / file).read_text()))
    assert named
    assert named <= known


def test_the_dashboard_shows_every_metric(known: set[str]) -> None:
    shown = set(NAME.findall((FOLDER / "grafana-dashboard.json").read_text()))
    unshown = {name for name in known - shown if not name.endswith(("_sum", "_created"))}
    assert unshown == set()


def test_the_dashboard_has_one_panel_per_place() -> None:
    dashboard: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    places = [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in dashboard["panels"]]
    ids = [one["id"] for one in dashboard["panels"]]
    assert len(set(places)) == len(places) == len(set(ids))
