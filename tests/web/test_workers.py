"""The page of workers: who serves what, and what each holds."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from playwright.sync_api import Page

from joblot.ledger.claim.claim import claim
from joblot.ledger.rows.workers import ANY_JOB, asked, forget, seen
from joblot.ledger.submit.submit import submit
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


def test_each_worker_is_under_its_pipelines_with_what_it_holds(two_workers: None) -> None:
    page = shown(person("ana", "operator"))
    assert re.search(r"shrink</h2>.*gpu-7.*alpha", page, re.DOTALL)
    row = re.search(r'id="worker-gpu-7">.*?</tr>', page, re.DOTALL)
    assert row is not None
    assert 'data-label="Items" class="num">4<' in row[0]
    assert "online" in row[0]
    assert "idle-1" in page
    assert "idle-1" not in shown(person("ben"), "/workers?pipeline=shrink")


def test_a_member_of_a_project_sees_who_works_on_it_and_nobody_else(two_workers: None) -> None:
    page = shown(person("ana", "reader", "alps"))
    assert "gpu-7" in page
    assert "idle-1" not in page
    assert "gpu-7" not in shown(person("eve", "reader", "andes"))


def test_everybody_can_use_the_page_of_workers(page: Page, two_workers: None) -> None:
    page.goto("/workers")
    check_page(page)
