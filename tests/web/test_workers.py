"""The page of workers: who serves what, and what each holds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.test import Client
from playwright.sync_api import Page

from joblot.ledger.claim.claim import claim
from joblot.ledger.maintain.revocation import revoke_worker
from joblot.ledger.report.report import report
from joblot.ledger.rows import worker_figures
from joblot.ledger.rows.workers import ANY_JOB, asked, forget, seen
from joblot.ledger.submit.submit import submit
from joblot.models import WorkerInstance
from joblot.wire import failure, success
from tests.ledger.worker import keys
from tests.web.browser import check_page
from tests.web.people import person


@pytest.fixture
def two_workers(ledger_db: str) -> None:
    """gpu-7 holds items of a job in alps; idle-1 holds nothing."""
    submit("x", keys(9), pipeline="shrink", project="alps")
    forget()
    seen(1, "gpu-7", {"host": "alpha", "version": "0.1.0"})
    seen(1, "idle-1", {"host": "beta"})
    asked(1, "gpu-7", ["shrink"], ANY_JOB)
    asked(1, "idle-1", ["draw"], ANY_JOB)
    assert claim(["shrink"], owner=1, worker="gpu-7", limit=4).leases


def shown(client: Client, where: str = "/workers") -> str:
    return unescape(client.get(where).content.decode())


def row_of(worker: str, page: str) -> str:
    found = re.search(rf'id="worker-{worker}">.*?</tr>', page, re.DOTALL)
    assert found is not None
    return found[0]


def test_each_worker_is_under_its_pipelines_with_what_it_holds(two_workers: None) -> None:
    page = shown(person("ana", "operator"))
    assert re.search(r"shrink</h2>.*gpu-7.*alpha", page, re.DOTALL)
    row = row_of("gpu-7", page)
    assert 'data-label="Items" class="num">4<' in row
    assert "online" in row
    assert "idle-1" in page
    assert "idle-1" not in shown(person("ben"), "/workers?pipeline=shrink")


def test_a_member_of_a_project_sees_who_works_on_it_and_nobody_else(two_workers: None) -> None:
    page = shown(person("ana", "reader", "alps"))
    assert "gpu-7" in page
    assert "idle-1" not in page
    assert "gpu-7" not in shown(person("eve", "reader", "andes"))


def test_a_worker_is_shown_with_how_fast_it_is_and_how_it_fails(two_workers: None) -> None:
    (lease,) = claim(["shrink"], owner=1, worker="gpu-7", limit=4).leases
    report(lease.token, [success(4), success(5), failure(6, "CudaError", "no <memory>")])
    worker_figures.write(older_than=0.0)
    row = row_of("gpu-7", shown(person("ana", "operator")))
    assert 'data-label="Per minute" class="num">3<' in row
    assert re.search(r'data-label="Failed \(1 h\)" class="num"><span class="bad">1<', row)
    assert "CudaError: no <memory>" in row
    row = row_of("gpu-7", shown(person("ben", "reader", "alps")))
    assert 'data-label="Per minute" class="num">–<' in row  # they would be of all projects
    assert "CudaError" not in row


def test_workers_that_are_away_are_folded_by_how_long(ledger_db: str) -> None:
    for name, hours in (("old", 25), ("bad", 25), ("lately", 23), ("here", 0)):
        seen(1, name)
        at = datetime.now(UTC) - timedelta(hours=hours)
        WorkerInstance.ledger.filter(instance=name).update(last_seen_at=at)
    revoke_worker(1, "bad", actor="ana", reason="computes <garbage>")
    page = shown(person("ana", "operator"))
    folds = dict(re.findall(r"<summary>(.*?)</summary><ul>(.*?)</ul>", page, re.DOTALL))
    assert {title: re.findall(r"<li>(\S+),", names) for title, names in folds.items()} == {
        "1 offline in the last 24 h, holding nothing": ["lately"],
        "1 offline for longer, holding nothing": ["old"],
        "1 revoked and offline, holding nothing": ["bad"],
    }
    assert "by ana: computes <garbage>" in folds["1 revoked and offline, holding nothing"]
    assert "online" in row_of("here", page)


def test_a_pipeline_that_nobody_serves_comes_before_all_workers(two_workers: None) -> None:
    submit("y", keys(20), pipeline="shrnik & co", project="alps")
    submit("z", keys(7), pipeline="secret", project="andes")
    page = shown(person("ana", "operator"))
    said = "20 items of 1 job wait; no worker has ever asked for it"
    assert re.search(
        r"2 pipelines without a worker</h2>.*pipeline=shrnik%20%26%20co\">shrnik & co</a>: "
        rf"{said}.*secret</a>: 7 items.*shrink</h2>",
        page,
        re.DOTALL,
    )
    assert "joblot worker MODULE:FUNCTION --pipeline 'shrnik & co'" in page
    assert "secret" not in shown(person("ben", "reader", "alps"))
    only = shown(person("cho", "operator"), "/workers?pipeline=secret")
    assert "1 pipeline without a worker" in only
    assert "shrnik" not in only


def test_everybody_can_use_the_page_of_workers(page: Page, two_workers: None) -> None:
    submit("y", keys(20), pipeline="shrnik", project="alps")
    page.goto("/workers")
    check_page(page)
